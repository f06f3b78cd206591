import subprocess
import sys

import pytest

import tfkd.models
from tfkd.models import STUDENTS, TEACHERS, build


@pytest.mark.parametrize("name", TEACHERS + STUDENTS)
def test_every_name_builds(name):
    model = build(name, (32, 32, 1), num_classes=3, width=0.1)
    assert model.output_shape == (None, 32, 32, 3)
    assert model.name == name.lower()


@pytest.mark.parametrize("name", ["unet", "U-Net", "UNET", "u_net"])
def test_spelling(name):
    assert build(name, (32, 32, 1), width=0.05).name == "unet"


def test_spelling_of_a_plus():
    assert build("UNet++", (32, 32, 1), width=0.05).name == "unetplusplus"


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"UNet, .*PSPNet \(teachers\).*ResNet18 \(stud.*'vnet'"):
        build("vnet")


def test_public_names_exist():
    for name in tfkd.models.__all__:
        assert getattr(tfkd.models, name) is not None
    assert dir(tfkd.models) == sorted(tfkd.models.__all__)
    with pytest.raises(AttributeError, match="'VNet'"):
        _ = tfkd.models.VNet


def test_names_cost_no_tensorflow():
    code = (
        "import sys; from tfkd.models import STUDENTS, TEACHERS; "
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
