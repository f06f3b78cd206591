"""The page of browser/: its modules compute what tfkd does, and so does the whole page."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tfkd.inference import Contract, Postprocessing, Predictor, clean_mask
from tfkd.inference.strict_json import encode_array
from tfkd.volumes import (
    PreprocessSpec,
    Volume,
    fit_image,
    read_volume,
    unfit_scores,
    window,
    write_volume,
)

REPOSITORY = Path(__file__).resolve().parents[1]
BROWSER = REPOSITORY / "browser"
SAVED = REPOSITORY / "saved_models" / "phantom_student_int8.tflite"
MODULE_TESTS = ("clean", "contract", "ct_volume", "preprocess")
# Of modules that need packages from the registry.
PACKAGE_TESTS = ("bundle", "licences")
# What npm calls a registry that cannot be reached or that refuses; all else is a fault of ours.
NO_REGISTRY = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONN[A-Z]+|ETIMEDOUT|E40\d|ERR_SOCKET_TIMEOUT"
    r"|E(IDLE|RESPONSE|TRANSFER)TIMEOUT)\b"
)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

SPECS = (
    PreprocessSpec(size=(12, 10)),
    PreprocessSpec(size=(31, 50), window_hu=(-150.0, 250.0), output_range=(0.0, 1.0)),
    PreprocessSpec(size=(23, 19)),
    PreprocessSpec(size=(16, 24), fit="center"),
    PreprocessSpec(size=(16, 16), fit="center", spacing_mm=1.3),
    PreprocessSpec(size=(40, 8), fit="center", spacing_mm=0.5),
    PreprocessSpec(size=(9, 30), fit="center", field_size=(14, 28)),
)


def start_node(
    *words: str | Path, timeout_s: float, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program; when its time is up, end it with all that it started (Chromium's parts)."""
    with subprocess.Popen(
        [str(word) for word in words],
        cwd=BROWSER,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def run_node(*words: str | Path, **variables: str) -> str:
    run = start_node(*words, timeout_s=300, **variables)
    assert run.returncode == 0, f"{words}:\n{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
    return run.stdout


def test_a_node_run_ends_with_all_that_it_started(tmp_path: Path):
    child = tmp_path / "child"
    with pytest.raises(subprocess.TimeoutExpired):
        start_node("sh", "-c", f"sleep 600 & echo $! > {child}; wait", timeout_s=1)
    deadline = time.monotonic() + 20
    while runs(int(child.read_text("utf-8"))):
        assert time.monotonic() < deadline, "the child outlived the run that started it"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether a process exists that is more than a zombie which nobody has waited for yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("utf-8").split()[2] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.fixture(scope="module")
def node() -> str:
    """Return the path of node."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("the page's modules are run with node, which is not here")
    return found


@pytest.fixture(scope="module")
def packages(node: str) -> None:
    """Install what browser/package-lock.json names, once for each lock file."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the page is built with npm, which is not here")
    digest = hashlib.sha256((BROWSER / "package-lock.json").read_bytes()).hexdigest()
    installed = BROWSER / "node_modules" / ".installed"
    if installed.is_file() and installed.read_text("utf-8") == digest:
        return
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    words += ["--fetch-retries=0", "--fetch-timeout=10000"]
    try:
        run = start_node(*words, timeout_s=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm could not install the page's packages within 120 s")
    said = run.stderr.strip()[-2000:]
    if run.returncode and NO_REGISTRY.search(said):
        pytest.skip(f"npm cannot reach the packages of the page: {said}")
    assert run.returncode == 0, f"npm ci failed:\n{said}"
    installed.write_text(digest, "utf-8")


@pytest.fixture(scope="module")
def page(packages: None) -> Path:
    """Return the folder of the built page."""
    run_node("npm", "run", "build")
    return BROWSER / "dist"


def test_the_build_names_what_it_contains_and_the_licences(page: Path):
    text = (page / "THIRD_PARTY_LICENSES.txt").read_text("utf-8")
    lock = json.loads((BROWSER / "package-lock.json").read_text("utf-8"))["packages"]
    for name, licence in (
        ("@litertjs/core", "Apache-2.0"),
        ("@niivue/niivue", "BSD-2-Clause"),
        ("fflate", "MIT"),
        ("gl-matrix", "MIT"),
        ("nifti-reader-js", "MIT"),
    ):
        version = lock[f"node_modules/{name}"]["version"]
        assert f"{name} {version}\nLicence: {licence}\nSource: " in text
    assert "Arjun Barrett" in text  # fflate's own licence file
    assert "Source: https://github.com/lukeed/uuid\n" in text
    # These packages ship no licence file.
    assert text.count("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION") == 2
    assert "Copyright (c) 2021, Niivue" in text
    assert "esbuild" not in text


@pytest.fixture(scope="module")
def drive(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Run cases on one page in Chromium; returns what `drive.mjs` prints."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip(f"the page is tried in Chromium, and none of {CHROMIUM} is here")

    def run(cases: list[dict[str, Any]], isolated: bool) -> dict[str, Any]:
        plan = tmp_path_factory.mktemp("plan") / "plan.json"
        whole = {"dist": page, "chromium": chromium, "isolated": isolated, "cases": cases}
        plan.write_text(json.dumps(whole, default=str), "utf-8")
        return json.loads(run_node("node", "tests/drive.mjs", plan))

    return run


def make_fits() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    shape, spacing_mm_yx = (24, 19), (0.9, 0.8)
    image = rng.integers(-1500, 1500, shape).astype(np.int16)
    fits = []
    for spec in SPECS:
        fitted = fit_image(image, spec, spacing_mm_yx)
        scores = rng.normal(size=(*spec.size, 3)).astype(np.float32)
        native = unfit_scores(scores, spec, shape, spacing_mm_yx)
        fits.append(
            {
                "spec": spec.to_dict(),
                "shape": shape,
                "spacing": spacing_mm_yx,
                "image": image.ravel().tolist(),
                "fitted": fitted.ravel().tolist(),
                "windowed": window(fitted, spec).ravel().tolist(),
                "scores": [scores[..., k].ravel().tolist() for k in range(3)],
                "native": [native[..., k].ravel().tolist() for k in range(3)],
            }
        )
    return fits


def write_scans(folder: Path) -> list[str]:
    """Write CT of all kinds of layout; returns the names."""
    rng = np.random.default_rng(1)
    voxels = rng.integers(-1000, 1500, (4, 5, 6))
    oblique = np.array([[0.2, 0.1, -3], [0.75, -0.1, 0.4], [0.02, -0.9, -0.3]])
    axes = {
        "lps": np.diag([-0.7, -0.8, 3.0]),
        "ras": np.diag([0.7, 0.8, 3.0]),
        "slices_first": np.array([[0, 0, -0.8], [0, -0.8, 0], [-3.0, 0, 0]]),
        "oblique": oblique,
    }
    images = {}
    for name, matrix in axes.items():
        affine = np.eye(4)
        affine[:3, :3] = matrix
        affine[:3, 3] = (10, -20, 30)
        images[name] = nibabel.Nifti1Image(voxels.astype(np.int16), affine)
        images[name].set_qform(affine, code=1)
    affine = images["slices_first"].affine
    images["qform_alone"] = nibabel.Nifti1Image(voxels.astype(np.int32), affine)
    images["qform_alone"].set_qform(affine, code=1)
    images["qform_alone"].set_sform(None, code=0)
    images["version_2"] = nibabel.Nifti2Image(voxels.astype(np.float64) + 0.5, affine)
    images["identity"] = nibabel.Nifti1Image(voxels.astype(np.float32) + 0.25, np.eye(4))
    images["unstated"] = nibabel.Nifti1Image(voxels.astype(np.uint16) % 3000, None)
    images["unstated"].header.set_zooms((0.7, 0.8, 3.0))
    big_endian = nibabel.Nifti1Header(endianness=">")
    images["big_endian"] = nibabel.Nifti1Image(voxels.astype(">i2"), affine, big_endian)
    images["four_axes"] = nibabel.Nifti1Image(voxels.astype(np.int16)[..., None], affine)
    images["scaled"] = nibabel.Nifti1Image((voxels + 1000).astype(np.int16), affine)
    images["scaled"].header.set_slope_inter(0.5, -700.25)
    images["metres"] = nibabel.Nifti1Image(
        voxels.astype(np.int16), np.diag([1e-3, 1e-3, 1e-3, 1]) @ images["lps"].affine
    )
    images["metres"].header.set_xyzt_units("meter")
    for name, image in images.items():
        nibabel.save(image, folder / f"{name}.nii")
    return list(images)


def make_volumes(folder: Path) -> list[dict[str, Any]]:
    volumes = []
    for name in write_scans(folder):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            volume = read_volume(folder / f"{name}.nii")
        mask = (np.arange(volume.array.size) % 251).astype(np.uint8).reshape(volume.shape)
        write_volume(volume.with_array(mask), folder / f"{name}_mask.nii")
        volumes.append(
            {
                "file": f"{name}.nii",
                "mask_file": f"{name}_mask.nii",
                "shape": volume.shape,
                "spacing": volume.spacing_mm,
                "voxel_ml": volume.voxel_volume_ml,
                "warned": bool(caught),
                "hu": [plane.ravel().tolist() for plane in volume.array],
                "mask": [plane.ravel().tolist() for plane in mask],
            }
        )
    return volumes


def make_cleaned() -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    names = ("background", "liver", "tumour")
    choices = (("liver",), ()), ((), ("liver",)), (("liver", "tumour"), ("tumour", "liver"))
    cleaned = []
    for fraction in (0.25, 0.6, 0.85):
        before = rng.choice([0, 1, 2], (7, 8, 9), p=[0.9 - fraction, fraction, 0.1])
        for largest, holes in choices:
            after = before.astype(np.uint8)
            clean_mask(after, names, Postprocessing(largest, holes))
            cleaned.append(
                {
                    "shape": before.shape,
                    "before": before.ravel().tolist(),
                    "after": after.ravel().tolist(),
                    "postprocessing": Postprocessing(largest, holes).to_dict(),
                }
            )
    assert any(one["before"] != one["after"] for one in cleaned)
    return cleaned


def test_the_modules_compute_what_tfkd_does(node: str, tmp_path: Path):
    data = {
        "fits": make_fits(),
        "volumes": make_volumes(tmp_path),
        "cleaned": make_cleaned(),
        "contract": json.loads(SAVED.with_suffix(".json").read_text("utf-8")),
    }
    run_module_tests(MODULE_TESTS, data, tmp_path)


def test_modules_that_need_packages(packages: None, tmp_path: Path):
    contract = json.loads(SAVED.with_suffix(".json").read_text("utf-8"))
    run_module_tests(PACKAGE_TESTS, {"contract": contract}, tmp_path)


def run_module_tests(names: Sequence[str], data: dict[str, Any], folder: Path) -> None:
    (folder / "fixtures.json").write_text(json.dumps(data), "utf-8")
    files = [f"tests/{name}.test.js" for name in names]
    reporter = "--test-reporter=tap"
    said = run_node("node", "--test", reporter, *files, TFKD_BROWSER_FIXTURES=str(folder))
    assert "# skipped 0" in said


def test_npm_runs_the_tests_of_all_modules():
    files = [f"tests/{name}.test.js" for name in sorted(MODULE_TESTS + PACKAGE_TESTS)]
    assert files == sorted(f"tests/{one.name}" for one in BROWSER.glob("tests/*.test.js"))
    script = json.loads((BROWSER / "package.json").read_text("utf-8"))["scripts"]["test"]
    assert script == f"node --test {' '.join(files)}"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the CT of a phantom in LiTS17 layout."""
    from tfkd.phantom import write_phantom_cohort

    folder = tmp_path_factory.mktemp("phantom")
    write_phantom_cohort(folder, 1, seed=5, shape_zyx=(16, 96, 96))
    return folder / "volume-0.nii.gz"


def slices_first(path: Path, out: Path) -> Path:
    """Write the same CT with its slices on the first axis, as in KiTS19, uncompressed."""
    image = nibabel.load(path)
    turned = np.asarray(image.dataobj).transpose(2, 1, 0)[::-1]
    affine = image.affine @ np.array([[0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]])
    affine[:3, 3] += image.affine[:3, 2] * (image.shape[2] - 1)
    nibabel.save(nibabel.Nifti1Image(turned, affine), out)
    return out


def equal_voxels(mask: Path, ct: Path, expected: Volume) -> float:
    """Return the fraction of equal voxels; the two files must have one geometry."""
    ours, scan = nibabel.load(mask), nibabel.load(ct)
    assert ours.shape == scan.shape
    np.testing.assert_array_equal(ours.affine, scan.affine)
    assert ours.get_data_dtype() == np.uint8
    return float(np.mean(read_volume(mask, kind="mask").array == expected.array))


def check_alone(page: dict[str, Any]) -> None:
    """Nothing was asked of another host, and the worker that holds the CT cannot ask."""
    assert page["foreign"] == []
    probe = page["probe"]
    assert probe["control"] == "answer"
    assert probe["received"] == ["control"]
    assert "refused" in probe["answers"]
    assert set(probe["answers"]) <= {"refused", "busy"}


def check_page(page: dict[str, Any]) -> None:
    """Nothing failed, and nothing was asked of another host."""
    check_alone(page)
    logged = ("INFO:", "WARNING:")  # LiteRT's own words
    assert [line for line in page["errors"] if not line.startswith(logged)] == []


def test_int8_in_the_page_is_the_predictor(drive: Any, phantom: Path, tmp_path: Path):
    model = [SAVED, SAVED.with_suffix(".json")]
    case = {"model": model, "ct": phantom, "stop": True, "mask": tmp_path / "mask.nii.gz"}
    case["picture"] = tmp_path / "page.png"
    page = drive([case], isolated=True)
    (said,) = page["said"]
    assert said["canRun"], said
    expected = Predictor(SAVED)(read_volume(phantom))
    assert np.count_nonzero(expected.array == 1) > 1000
    assert equal_voxels(tmp_path / "mask.nii.gz", phantom, expected) >= 0.999
    check_page(page)
    assert said["saved"] == "volume-0_mask.nii.gz"
    volume_ml = np.count_nonzero(expected.array == 1) * expected.voxel_volume_ml
    assert f"{volume_ml:.1f} mL" in said["volumes"]
    assert "slices in" in said["mask"]["text"]
    assert said["stopped"] == {"text": "Stopped.", "bad": False}
    # Once for the worker that was stopped.
    assert page["wasm"] == 2 * ["/wasm/litert_wasm_threaded_internal.wasm"]
    assert picture_shows_the_mask(tmp_path / "page.png")


def picture_shows_the_mask(path: Path) -> bool:
    """Whether a good part of the picture has the hue of the first label, orange on grey."""
    from PIL import Image

    red, _, blue = np.moveaxis(np.asarray(Image.open(path).convert("RGB")).astype(int), -1, 0)
    return bool(np.mean((red - blue)[:, 400:] > 60) > 0.01)


@pytest.fixture(scope="module")
def float_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a zip of a float32 model of everything that is rare, made by hand."""
    import keras

    from tfkd.export import to_litert

    spec = PreprocessSpec(
        window_hu=(-70.0, 150.0), size=(40, 56), fit="center", spacing_mm=6.0, context_slices=1
    )
    image = keras.Input(spec.input_shape)
    student = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(image))
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[..., 1] = np.array([0.2, 1.0, 0.1]) / 3
    student.set_weights([kernel, np.array([0.0, 0.4], np.float32)])
    folder = tmp_path_factory.mktemp("float")
    names = ("background", "tissue")
    path = folder / "student.tflite"
    to_litert(student, path, spec=spec, label_names=names, threshold=0.35)
    beside = path.with_suffix(".json")
    contract = json.loads(beside.read_text("utf-8"))
    contract["postprocessing"] = {"largest_component": ["tissue"], "fill_holes": ["tissue"]}
    beside.write_text(json.dumps(contract), "utf-8")
    with zipfile.ZipFile(folder / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for member in (path, beside):
            bundle.write(member, f"bundle/{member.name}")
        bundle.writestr("bundle/MODEL_CARD.md", "# Card")
    return path


def spoilt(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> list[Path]:
    """Return a copy of the saved model whose contract was changed."""
    target = folder / name / SAVED.name
    target.parent.mkdir()
    shutil.copy(SAVED, target)
    contract = json.loads(SAVED.with_suffix(".json").read_text("utf-8"))
    change(contract)
    target.with_suffix(".json").write_text(json.dumps(contract), "utf-8")
    return [target, target.with_suffix(".json")]


def test_float32_and_refusals_without_threads(
    drive: Any, phantom: Path, float_bundle: Path, tmp_path: Path
):
    ct = slices_first(phantom, tmp_path / "turned.nii")
    broken = spoilt(tmp_path, "broken", lambda contract: None)
    rubbish = bytes(2000)
    broken[0].write_bytes(rubbish)
    contract = json.loads(broken[1].read_text("utf-8"))
    contract["sha256"] = hashlib.sha256(rubbish).hexdigest()
    broken[1].write_text(json.dumps(contract), "utf-8")
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(phantom.read_bytes()[:5000])
    good = [SAVED, SAVED.with_suffix(".json")]
    another_mask = encode_array(np.full(Contract.load(SAVED).golden.mask.shape, 2, np.uint8))
    refusals = {
        "schema version 1 or 2, received 9": spoilt(
            tmp_path, "newer", lambda contract: contract.update(schema_version=9)
        ),
        "expected SHA-256": spoilt(
            tmp_path, "hash", lambda contract: contract.update(sha256="0" * 64)
        ),
        "expected one .json file": [SAVED],
        "that LiteRT can run": broken,
        "computes something else": spoilt(
            tmp_path, "golden", lambda contract: contract["golden"].update(mask=another_mask)
        ),
    }
    cases: list[dict[str, Any]] = [
        {
            "model": [float_bundle.with_name("bundle.zip")],
            "ct": ct,
            "mask": tmp_path / "mask.nii.gz",
            "window": "Model's",
        },
        {"model": good},
        *({"model": model} for model in refusals.values()),
        {"model": good, "ct": damaged},
    ]
    page = drive(cases, isolated=False)
    said, second, *refused, of_damaged = page["said"]
    assert said["canRun"], said
    expected = expected_float(float_bundle, ct)
    assert 0.01 < expected.array.mean() < 0.9
    assert equal_voxels(tmp_path / "mask.nii.gz", ct, expected) >= 0.999
    check_alone(page)
    windows = [Contract.load(path).spec.window_hu for path in (float_bundle, SAVED)]
    assert windows[0] != windows[1]
    for one, (low, high) in zip((said, second), windows, strict=True):
        assert one["window"] == ["Model's", f"{low:g},{high:g}"]
    assert "Threads\n1" in said["facts"]
    assert page["wasm"] == ["/wasm/litert_wasm_internal.wasm"]
    assert "damaged.nii.gz: expected gzip data" in of_damaged["ct"]["text"]
    assert of_damaged["ct"]["bad"]
    assert not of_damaged["canRun"]
    for words, one in zip(refusals, refused, strict=True):
        assert words in one["model"]["text"]
        assert one["model"]["bad"]
        assert not one["canRun"]


def expected_float(path: Path, ct: Path) -> Volume:
    """Return Predictor's mask, cleaned: to do so again changes nothing."""
    mask = Predictor(path)(read_volume(ct))
    contract = Contract.load(path)
    clean_mask(mask.array, contract.label_names, contract.postprocessing)
    return mask
