"""The edge claim: a machine with five packages, and no TensorFlow, segments a NIfTI file."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tfkd.inference import Predictor
from tfkd.volumes import write_volume

REPOSITORY = Path(__file__).resolve().parents[2]
EDGE_PACKAGES = ("numpy", "scipy", "nibabel", "scikit-image", "ai-edge-litert")


@pytest.fixture(scope="session")
def edge_python(request: pytest.FixtureRequest) -> Path:
    """Return the Python of an environment with the edge packages, in the tested versions.

    It is kept in pytest's cache, since installing it takes half a minute, and made anew whenever
    the constraints change.
    """
    constraints = REPOSITORY / "constraints.txt"
    key = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path(request.config.cache.mkdir("edge-environment")) / key
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder.parent)  # with the environments of earlier constraints
    # Without a pip of its own, which would double the time: ours installs into it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-compile",
    ]
    install += ["--disable-pip-version-check", "--constraint", constraints, *EDGE_PACKAGES]
    # Whoever runs the tests may have another environment on the path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(install, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        reason = f"pip could not install the edge packages: {run.stderr.strip()[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    (folder / "complete").touch()
    return python


def _run(python: Path, *arguments: str | Path, folder: Path) -> str:
    """Run the edge Python with the package on its path and nothing else of ours."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    environment["PYTHONPATH"] = str(REPOSITORY)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    run = subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


PREDICT = "import sys; from tfkd.cli.main import main; sys.exit(main())"

REPORT = """
import importlib.util, json, sys, tfkd
heavy = ["tensorflow", "keras", "torch", "matplotlib", "jinja2", "rich"]
importable = [name for name in heavy if importlib.util.find_spec(name)]
print(json.dumps([tfkd.Predictor(sys.argv[1]).check(), importable]))
"""


def test_segments_a_nifti_without_tensorflow(edge_python, exported, make_ct, tmp_path):
    ct = make_ct((6, 50, 40))
    write_volume(ct, tmp_path / "ct.nii.gz")
    model = exported / "int8.tflite"
    report = _run(edge_python, "-c", REPORT, model, folder=tmp_path)
    assert json.loads(report) == [1.0, []]
    arguments = ("predict", model, "ct.nii.gz", "-o", "mask.nii.gz")
    output = _run(edge_python, "-c", PREDICT, *arguments, folder=tmp_path)
    assert "mask.nii.gz" in output
    image, mask = (nibabel.load(tmp_path / name) for name in ("ct.nii.gz", "mask.nii.gz"))
    assert mask.shape == image.shape
    np.testing.assert_array_equal(mask.affine, image.affine)
    write_volume(Predictor(model)(ct), tmp_path / "expected.nii.gz")
    expected = nibabel.load(tmp_path / "expected.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(expected.dataobj))
    assert set(np.unique(mask.dataobj)) == {0, 1, 2}


def test_inference_imports_no_tensorflow():
    """The same claim, cheaper, in the full environment: nothing heavy comes in by the way."""
    names = "{'tensorflow', 'keras', 'matplotlib'}"
    code = f"import sys, tfkd.inference; print({names} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
