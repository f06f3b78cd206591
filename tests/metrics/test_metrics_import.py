"""Volume metrics work where TensorFlow is not installed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["tfkd.metrics", "tfkd.report"])
def test_import_loads_no_framework(package):
    code = (
        f"import sys, {package} as package; dir(package); "
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_slice_dice_is_lazy_and_unknown_names_fail():
    import tfkd.metrics

    assert "SliceDice" in dir(tfkd.metrics)
    assert tfkd.metrics.SliceDice.__name__ == "SliceDice"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = tfkd.metrics.Nothing
