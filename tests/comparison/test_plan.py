"""Plans: what they may say, and what is said about what they may not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfkd.comparison import Plan, read_plan
from tfkd.comparison.plan.method import Method
from tfkd.errors import PlanError

PLAN = """
records = "records"
seeds = [3, 4]
[training]
epochs = 5
learning_rate = 1
[teachers.raunet]
network = "ra-unet"
width = 0.5
epochs = 9
seed = 7
[teachers.trained]
file = "teacher.keras"
sha256 = "00"
[students.enet]
network = "ENet"
width = 0.25
xla = true
[methods.ours]
preset = "emkd"
region_weight = 0.5
ramp_epochs = 3
teacher = "raunet"
[methods.both]
losses = [
  {loss = "RegionAffinityDistillation", weight = 0.9, teacher_layer_name = "tap_high"},
  {loss = "PredictionMapDistillation"},
]
teacher = ["raunet", "trained"]
weighting = "confidence"
[methods.each]
preset = "emkd"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes `PLAN` with some text replaced."""

    def write(old: str = "", new: str = "") -> Path:
        assert old in PLAN
        path = tmp_path / "study.toml"
        path.write_text(PLAN.replace(old, new, 1) if old else PLAN, encoding="utf-8")
        return path

    return write


def test_settings_of_networks_override_those_of_the_plan(write: Callable[..., Path]) -> None:
    path = write()
    plan = read_plan(path)
    assert plan.records == path.parent / "records"
    assert plan.seeds == (3, 4)
    teacher, student = plan.teachers["raunet"], plan.students["enet"]
    assert (teacher.network, teacher.width, teacher.seed) == ("RAUNet", 0.5, 7)
    assert (teacher.settings.epochs, student.settings.epochs) == (9, 5)
    assert (teacher.settings.xla, student.settings.xla) == (False, True)
    assert student.settings.learning_rate == 1.0
    assert plan.teachers["trained"].file == str(path.parent / "teacher.keras")


def test_a_teachers_records_are_beside_the_plan(write: Callable[..., Path]) -> None:
    path = write("seed = 7", 'records = "more"')
    assert read_plan(path).teachers["raunet"].records == str(path.parent / "more")


def test_methods(write: Callable[..., Path]) -> None:
    plan = read_plan(write())
    plan.check()
    ours, both, each = plan.methods.values()
    assert plan.teachers_of(ours) == [("raunet",)]
    assert plan.teachers_of(both) == [("raunet", "trained")]
    assert plan.teachers_of(each) == [("raunet",), ("trained",)]
    assert ours.ramp_epochs == 3.0
    assert ours.build()[1] == [0.1, 0.9, 0.9, 0.5, 0.5]
    losses, weights = both.build()
    assert weights == [0.9, 1.0]
    assert losses[0].teacher_layer_name == "tap_high"


@pytest.mark.parametrize(
    ("old", "new", "mentions"),
    [
        ("seeds =", "seed =", ["the plan", "'seed'", "Nearest: seeds"]),
        ("epochs = 5", "epoch = 5", ["[training]", "'epoch'", "Nearest: epochs"]),
        ("xla = true", "xlaa = true", ["[students.enet]", "'xlaa'", "Nearest: xla"]),
        ('"ENet"', '"EdgeNet"', ["[students.enet] network", "'EdgeNet'", "ENet"]),
        ("epochs = 9", "epochs = 0.5", ["[teachers.raunet] epochs", "a whole number", "0.5"]),
        ("epochs = 9", "epochs = 2024-01-01", ["[teachers.raunet] epochs", "a whole number"]),
        ("epochs = 9", "dice_squares = 07:32:00", ["[teachers.raunet] dice_squares", "true or"]),
        ("epochs = 9", "epochs = 0", ["[teachers.raunet] epochs", "a positive number"]),
        ("epochs = 9", "ema = 2.0", ["[teachers.raunet] ema", "between 0 and 1", "2.0"]),
        ("epochs = 9", "dice_share = 2.0", ["[teachers.raunet] dice_share", "0 to 1", "2.0"]),
        ("epochs = 9", "focal_gamma = -1.0", ["[teachers.raunet] focal_gamma", "at least 0"]),
        ("learning_rate = 1", "learning_rate = nan", ["[training] learning_rate", "a number"]),
        ("width = 0.25", "width = 99", ["[students.enet] width", "0.05 to 4.0", "99"]),
        ("width = 0.5", "width = 0", ["[teachers.raunet] width", "0.05 to 4.0", "0.0"]),
        ("width = 0.25", "options = {weights = 3}", ["[students.enet] options weights", "3"]),
        ("seeds = [3, 4]", "seeds = [3, 3]", ["seeds", "different"]),
        ("seeds = [3, 4]", "source = 3", ["source", "a folder", "Received 3"]),
        ('teacher = "raunet"', 'teacher = "ranet"', ["[methods.ours] teacher", "raunet"]),
        ("[methods.each]", "[methods.plain]", ["[methods.plain]", "always there"]),
        ("[methods.each]", '[methods."a/b"]', ["[methods]", "'a/b'"]),
        ('file = "teacher.keras"', "width = 1.0", ["[teachers.trained]", "`file`"]),
        ('file = "teacher.keras"', 'file = "a"\nrecords = "b"', ["[teachers.trained]", "both"]),
        ('"teacher.keras"', '"a"\noptions = {stem = "plain"}', ["[teachers.trained]", "`options`"]),
        ("xla = true", 'records = "more"', ["[students.enet]", "'records'"]),
        ('weighting = "confidence"', 'weighting = "most"', ["[methods.both]", "'confidence'"]),
        ('records = "records"', "", ["records", "found none"]),
        ('records = "records"', "records = 3", ["records", "a folder", "Received 3"]),
        ("[training]", "[training", ["expected a plan as TOML"]),
    ],
)
def test_an_error_names_file_place_and_what_is_near(
    write: Callable[..., Path], old: str, new: str, mentions: list[str]
) -> None:
    path = write(old, new)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    for mention in [str(path), *mentions]:
        assert mention in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "mentions"),
    [
        ('preset = "emkd"\nreg', 'preset = "emdk"\nreg', ["[methods.ours]", "Nearest: emkd"]),
        ("region_weight", "regio_weight", ["[methods.ours]", "Nearest: region_weight"]),
        ("Affinity", "Afinity", ["[methods.both] losses", "RegionAffinityDistillation"]),
        ("teacher_layer_name", "teacher_layer", ["Nearest: teacher_layer_name"]),
        ("weight = 0.9", 'weight = "much"', ["[methods.both] losses weight", "'much'"]),
        ("width = 0.25", 'options = {weigths = "a"}', ["[students.enet] options", "'weigths'"]),
        (
            "width = 0.25",
            'options = {shared_slopes = "yes"}',
            ["[students.enet] options shared_slopes", "true or false", "'yes'"],
        ),
        (
            '"ENet"\nwidth = 0.25',
            '"MobileNetV2"\noptions = {weights = "gone.h5"}',
            ["[students.enet] options", "of a file that exists", "gone.h5"],
        ),
        (
            '"ENet"',
            '"MobileNetV2"\noptions = {weights = "imagenet"}',
            ["[students.enet] options", "expected width=1", "0.25"],
        ),
        ("weight = 0.5", 'weight = "big"', ["[methods.ours] region_weight", "a number", "'big'"]),
        (
            "region_weight = 0.5",
            'taps = "tap_high"',
            ["[methods.ours] taps", "a list of names", "'tap_high'"],
        ),
        (
            '"PredictionMapDistillation"',
            '"PredictionMapDistillation", temperature = "hot"',
            ["[methods.both] losses temperature", "a number", "'hot'"],
        ),
        (
            '"tap_high"},',
            '"tap_high", variant = "papers"},',
            ["[methods.both] losses variant", "one of 'regions', 'paper'", "'papers'"],
        ),
    ],
)
def test_what_only_the_library_knows_is_checked_before_anything_is_trained(
    write: Callable[..., Path], old: str, new: str, mentions: list[str]
) -> None:
    plan = read_plan(write(old, new))
    with pytest.raises(PlanError) as caught:
        plan.check()
    for mention in mentions:
        assert mention in str(caught.value)


def test_plan_in_python(tmp_path: Path) -> None:
    path = tmp_path / "study.py"
    path.write_text(
        "import tfkd\n"
        "plan = tfkd.comparison.Plan(records='records', students={'a': {'network': 'ENet'}})\n"
    )
    plan = read_plan(path)
    assert plan.records == tmp_path / "records"
    assert plan.students["a"].network == "ENet"
    path.write_text("plan = 3\n")
    with pytest.raises(PlanError, match=r"study\.py: expected `plan = .* Received 3"):
        read_plan(path)
    with pytest.raises(PlanError, match="found no file"):
        read_plan(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("plan = (\n", "line 1 raises SyntaxError: '\\(' was never closed"),
        ("import tfkd\n\nimport no_such_module\n", "line 3 raises ModuleNotFoundError: No module"),
        (
            "from tfkd.comparison import Plan\nplan = Plan(records='r', seed=3)\n",
            "line 2 raises TypeError: .* unexpected keyword argument 'seed'",
        ),
        (
            "from tfkd.comparison import Plan\n"
            "def make():\n    return Plan(records='r', seeds=[])\n"
            "plan = make()\n",
            "line 3: seeds: expected different whole numbers",
        ),
        ("raise OSError\n", "line 1 raises OSError"),
    ],
)
def test_an_error_of_a_plan_in_python_names_file_and_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "study.py"
    path.write_text(text)
    with pytest.raises(PlanError, match=rf"{path}: .*{reason}"):
        read_plan(path)


def test_presets_and_losses_of_ones_own() -> None:
    from tfkd.losses import PredictionMapDistillation

    class Mine(PredictionMapDistillation):
        pass

    def preset(weight: float) -> Any:
        return [Mine()], [weight]

    plan = Plan(
        records="records",
        teachers={"t": {"network": "UNet"}},
        students={"s": {"network": "ENet"}},
        methods={
            "one": {"preset": preset, "weight": 2.0},
            "two": {"losses": [{"loss": Mine, "temperature": 2.0}]},
        },
    )
    one, two = plan.methods.values()
    assert one.identity()["losses"] == [{"class": "Mine", "weight": 2.0}]
    assert two.identity()["losses"] == [{"class": "Mine", "temperature": 2.0, "weight": 1.0}]


def test_a_loss_of_ones_own_says_all_of_its_settings() -> None:
    from tfkd.losses import PredictionMapDistillation

    class Forgetful(PredictionMapDistillation):
        def __init__(self, margin: float = 1.0, name: str = "mine") -> None:
            super().__init__(name=name)
            self.margin = margin

    method = Method.parse("[methods.m]", "m", {"losses": [{"loss": Forgetful, "margin": 2.0}]})
    with pytest.raises(PlanError, match=r"Forgetful\.get_config: .* Missing: margin"):
        method.identity()


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([1.0, 1.0], "a weight for each loss. Received 1 losses and 2 weights"),
        (["big"], "weight: expected a number or a schedule of Keras. Received 'big'"),
        ([float("nan")], "weight: expected a number or a schedule of Keras. Received nan"),
        ([abs], "weight: expected a number or a schedule of Keras. Received <built-in"),
    ],
)
def test_what_a_preset_of_ones_own_returns_is_checked(weights: list[Any], reason: str) -> None:
    def preset() -> Any:
        from tfkd.losses import PredictionMapDistillation

        return [PredictionMapDistillation()], weights

    method = Method.parse("[methods.m]", "m", {"preset": preset})
    with pytest.raises(PlanError, match=rf"\[methods\.m\].*{reason}"):
        method.build()


def test_only_what_a_plan_can_write_is_judged_by_its_type() -> None:
    from keras.optimizers.schedules import PolynomialDecay

    from tfkd.losses import PredictionMapDistillation

    schedule = PolynomialDecay(0.0, 5, 1.0)

    def untyped(weight, of: "Unknown" = None):  # type: ignore[no-untyped-def, name-defined]  # noqa: F821
        return [PredictionMapDistillation()], [weight]

    tables = ({"preset": "kd", "weight": schedule}, {"preset": untyped, "weight": 1, "of": "a"})
    one, other = (Method.parse("[methods.m]", "m", table).build()[1] for table in tables)
    assert (one, other) == ([schedule], [1.0])


def test_equal_weights_of_a_preset_are_one_row() -> None:
    def preset(weight: float) -> Any:
        from tfkd.losses import PredictionMapDistillation

        return [PredictionMapDistillation()], [weight]

    one, other = (
        Method.parse("[methods.m]", "m", {"preset": preset, "weight": weight}).identity()
        for weight in (1, 1.0)
    )
    assert json.dumps(one) == json.dumps(other)


def test_methods_need_a_teacher() -> None:
    with pytest.raises(PlanError, match=r"\[teachers\]: expected at least one"):
        Plan(records="r", students={"s": {"network": "ENet"}}, methods={"m": {"preset": "emkd"}})
