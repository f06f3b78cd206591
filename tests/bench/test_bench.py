"""Figures of a bundle: each from a process of its own, complete, and of the right order."""

import importlib
import json
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tfkd.bench import BenchResult, bench, process, worker
from tfkd.bench.bench import synthetic_ct
from tfkd.bench.process import litert_benchmark_ms, run_job
from tfkd.errors import ContractError
from tfkd.inference import contract_path
from tfkd.volumes import write_volume

FEW = {"threads": 1, "runs": 5, "warmup": 1, "slices": 3, "size": 48}


@pytest.fixture(scope="module")
def figures(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> BenchResult:
    """Of an archive, with everything."""
    archive = tmp_path_factory.mktemp("bench") / "student.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for suffix in (".tflite", ".json"):
            made.write((exported / "int8.tflite").with_suffix(suffix), f"int8{suffix}")
    steps: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        # One process for the slices, whatever the machine has.
        for name in ("bench.bench", "inference.machine"):
            module = importlib.import_module(f"tfkd.{name}")
            patch.setattr(module, "available_cores", lambda: 1)
        result = bench(archive, operators=True, progress=lambda *step: steps.append(step), **FEW)
    assert [step[0] for step in steps] == list(range(len(steps)))
    assert {step[1] for step in steps} == {len(steps) - 1}
    return result


def test_every_figure_is_there(figures, exported):
    assert (figures.name, figures.quantization) == ("student.zip", "int8")
    assert figures.input_shape == (32, 32, 1)
    assert figures.size_bytes == (exported / "int8.tflite").stat().st_size
    assert 0 < figures.ms_median <= figures.ms_p95
    assert figures.slices_per_s[1] == pytest.approx(1000 / figures.ms_median)
    assert figures.volume_shape == (3, 48, 48)
    assert figures.volume_s > 0
    assert figures.cold_start_s > 0.05  # an interpreter starts, and NumPy is imported
    assert figures.litert_benchmark_ms > 0
    assert [(one.name, one.count) for one in figures.operators] == [("CONV_2D", 1)]
    assert "1 CPU cores" in figures.machine


def test_memory_is_that_of_a_fresh_process(figures):
    if figures.ram_model_bytes is None:
        pytest.skip("this system does not say how large a process is")
    # This one holds TensorFlow, which alone is larger.
    assert 20e6 < figures.ram_model_bytes < 400e6
    assert 20e6 < figures.ram_volume_bytes < 400e6


def test_a_given_ct(exported, make_ct, tmp_path):
    write_volume(make_ct((4, 40, 40)), tmp_path / "ct.nii.gz")
    model = str(exported / "float32.tflite")
    result = run_job("volume", model=model, threads=1, ct=str(tmp_path / "ct.nii.gz"))
    assert result["shape"] == [4, 40, 40]
    with pytest.raises(FileNotFoundError, match=r"none\.nii: expected a CT, found none"):
        bench(model, ct=tmp_path / "none.nii", **FEW)


def test_times_of_slices(exported, capsys):
    request = {"job": "slices", "model": str(exported / "int8.tflite")}
    worker.main([json.dumps({**request, "threads": 1, "runs": 3, "warmup": 1})])
    answer = json.loads(capsys.readouterr().out)
    assert 0 < answer["median_ms"] <= answer["p95_ms"]
    assert answer["cpu_ms"] > 0


@pytest.mark.parametrize(
    ("before", "peak", "added"),
    [(100, 350, 250), (400, 350, 0), (None, 350, None), (100, None, None)],
)
def test_added_memory_by_hand(exported, capsys, monkeypatch, before, peak, added):
    monkeypatch.setattr(worker, "_resident_bytes", lambda: before)
    monkeypatch.setattr(worker, "_peak_bytes", lambda: peak)
    request = {"job": "slices", "model": str(exported / "int8.tflite")}
    worker.main([json.dumps({**request, "threads": 1, "runs": 1, "warmup": 0})])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["peak_bytes"], answer["added_bytes"]) == (peak, added)


def test_an_error_in_the_process_is_named(tmp_path):
    model = tmp_path / "none.tflite"
    with pytest.raises(
        ContractError, match=r"none\.tflite: expected a figure.*'first_mask'.*found"
    ):
        run_job("first_mask", model=str(model), threads=1)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Lets a script of one's own answer in place of every measurement."""

    def use(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(script)}", "utf-8")
        path.chmod(0o755)
        monkeypatch.setattr(process.sys, "executable", str(path))

    return use


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
@pytest.mark.parametrize("answer", ["[1]", "7", "null", "no JSON"])
def test_another_answer_is_named(stand_in, answer):
    stand_in(f"print({answer!r})")
    with pytest.raises(ContractError, match=r"m\.tflite: expected a figure.*no JSON object"):
        run_job("slices", model="m.tflite")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_process_that_hangs_is_ended(stand_in, monkeypatch):
    stand_in("import time; time.sleep(60)")
    monkeypatch.setattr(process, "_LIMIT_S", 0.3)
    with pytest.raises(ContractError, match=r"m\.tflite: .*'slices'.*no answer within 0\.3 s"):
        run_job("slices", model="m.tflite")
    assert litert_benchmark_ms(Path("m.tflite"), 1, 3) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
@pytest.mark.parametrize("result", ["[]", '{"latency": null}', '{"latency": {"median_ms": null}}'])
def test_other_figures_of_litert_benchmark_are_none(stand_in, result):
    stand_in(
        f"""\
        import sys
        open(sys.argv[-1].partition("=")[2], "w").write({result!r})
        """
    )
    assert litert_benchmark_ms(Path("m.tflite"), 1, 3) is None


@pytest.mark.parametrize("name", ["threads", "runs", "slices", "size"])
def test_numbers_below_one(model_path, name):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, received 0"):
        bench(model_path, **{**FEW, name: 0})


def test_a_bundle_without_contract_is_refused(model_path):
    contract_path(model_path).unlink()
    with pytest.raises(ContractError, match="expected its contract"):
        bench(model_path, **FEW)


def test_without_litert_benchmark_there_is_no_figure(tmp_path):
    assert litert_benchmark_ms(tmp_path / "none.tflite", 1, 3) is None


def test_the_synthetic_ct_is_tissue_in_air():
    volume = synthetic_ct(2, 64)
    assert volume.shape == (2, 64, 64)
    assert volume.array[0, 32, 32] > -60
    assert volume.array[0, 0, 0] < -800
    assert volume.spacing_mm == pytest.approx((2.5, 6.25, 6.25))


def test_earlier_names():
    """Those of `tfkd.inference` still answer."""
    import tfkd

    for name in tfkd.bench.__all__:
        assert getattr(tfkd.inference, name) is getattr(tfkd.bench, name)
    with pytest.raises(AttributeError, match="no attribute 'benchh'"):
        _ = tfkd.inference.benchh
