"""Who may import whom, read from the source: data flows down the package list, without circles."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tfkd"

# Direct arrows of the architecture. What a package may import includes what those may import.
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "failures": {"errors"},
    "volumes": {"errors"},
    "phantom": {"volumes"},
    "records": {"volumes"},
    "models": {"volumes"},
    "losses": {"volumes"},
    "metrics": {"volumes"},
    "distillation": {"models", "losses", "metrics", "records"},
    "callbacks": {"models", "report"},
    "inference": {"volumes"},
    "bench": {"inference"},
    "export": {"models", "bench", "report"},
    "evaluation": {"metrics", "records"},
    "report": {"evaluation", "inference"},
    "training": {"models", "losses", "metrics", "records", "distillation"},
    "comparison": {"training", "callbacks", "export", "report"},
}
# Arrows between the folders of a package; what lies in the package itself may import all of them.
INSIDE = {
    "comparison": {"plan": set(), "runs": {"plan"}, "table": {"plan", "runs"}},
}
TENSORFLOW_FREE = (
    "files",
    "failures",
    "volumes",
    "phantom",
    "inference",
    "bench",
    "metrics",
    "evaluation",
    "report",
)
IMPORT_THE_LIGHT_ONES = f"import {', '.join(f'tfkd.{name}' for name in TENSORFLOW_FREE)}"
# Keras metrics and losses that live in a free package, and are loaded on first use.
LAZY_KERAS = {"metrics/slice_dice.py"}
# What such a file may import besides.
OF_LAZY_KERAS = {"losses"}


def reachable(package: str) -> set[str]:
    direct = MAY_IMPORT[package]
    return direct.union(*map(reachable, direct)) if direct else set()


def imports(path: Path) -> list[tuple[str, str]]:
    """(package of tfkd, full module) of every import of tfkd, nested ones included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
            if node.module == "tfkd":
                names = [f"tfkd.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{path}: expected absolute imports, found a relative one")
        found += [(name.split(".")[1], name) for name in names if name.startswith("tfkd.")]
    return found


def test_the_table_has_no_circle():
    for package in MAY_IMPORT:
        assert package not in reachable(package)


def _is_lazy(path: Path) -> bool:
    return path.relative_to(PACKAGE).as_posix() in LAZY_KERAS


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_no_arrow_outside_the_table(package):
    allowed = reachable(package) | {package, "errors", "_version"}
    allowed |= set() if package in ("errors", "files") else {"files", "failures"}
    paths = [PACKAGE / "errors.py"] if package == "errors" else (PACKAGE / package).rglob("*.py")
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in paths
        for target, module in imports(path)
        if target not in allowed and not (_is_lazy(path) and target in OF_LAZY_KERAS)
    ]
    assert not wrong


@pytest.mark.parametrize("package", INSIDE)
def test_no_arrow_between_folders_outside_the_table(package):
    folders = INSIDE[package]
    assert set(folders) == {path.parent.name for path in (PACKAGE / package).glob("*/__init__.py")}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for folder, allowed in folders.items()
        for path in (PACKAGE / package / folder).rglob("*.py")
        for target, module in imports(path)
        if target == package and module.split(".")[2] not in allowed | {folder}
    ]
    assert not wrong


def test_every_package_is_in_the_table():
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages == set(MAY_IMPORT) - {"errors"} | {"cli"}


@pytest.mark.parametrize("package", TENSORFLOW_FREE)
def test_no_tensorflow_or_keras_in_the_source(package):
    for path in (PACKAGE / package).rglob("*.py"):
        if _is_lazy(path):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"tensorflow", "keras"} & {name.split(".")[0] for name in names}, path


@pytest.mark.parametrize(
    "statement",
    [
        "import tfkd",
        "from tfkd import Predictor, PreprocessSpec, Volume, read_volume, write_volume",
        IMPORT_THE_LIGHT_ONES,
        "from tfkd.records import Manifest, find_source, split_patients",
        "from tfkd.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_what_must_stay_light_loads_no_tensorflow(statement):
    code = statement + "\nimport sys\nassert not {'tensorflow', 'keras'} & set(sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_public_name_loads():
    import tfkd

    assert sorted(tfkd.__all__) == dir(tfkd)
    for name in tfkd.__all__:
        assert getattr(tfkd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Distiler'"):
        _ = tfkd.Distiler
