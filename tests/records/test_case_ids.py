import subprocess
import sys

import numpy as np
import pytest

from tfkd.records import decode_case_ids, encode_case_ids

NAMES = ["volume-7", "", "Фантом-10", "a"]


@pytest.mark.parametrize("length", [None, 40])
def test_case_ids_survive_the_round_trip(length: int | None) -> None:
    encoded = encode_case_ids(NAMES, length)
    assert encoded.dtype == np.uint8
    assert encoded.shape == (4, length or len("Фантом-10".encode()))
    assert decode_case_ids(encoded) == NAMES


def test_by_hand_and_without_any() -> None:
    np.testing.assert_array_equal(encode_case_ids(["b1", "a"]), [[98, 49], [97, 0]])
    assert encode_case_ids([]).shape == (0, 0)
    assert encode_case_ids([], 3).shape == (0, 3)
    assert decode_case_ids(np.zeros((0, 3), np.uint8)) == []


@pytest.mark.parametrize(("name", "length"), [("volume-10", 8), ("ä", 1), ("a\0b", None)])
def test_what_does_not_fit_is_refused(name: str, length: int | None) -> None:
    with pytest.raises(ValueError, match="case id: expected at most"):
        encode_case_ids([name], length)


@pytest.mark.parametrize("wrong", [np.zeros(3, np.uint8), np.zeros((2, 3), np.int32)])
def test_other_arrays_are_not_decoded(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(n, length\)"):
        decode_case_ids(wrong)


def test_they_need_no_tensorflow() -> None:
    code = (
        "import sys; from tfkd.records import decode_case_ids, encode_case_ids; "
        "decode_case_ids(encode_case_ids(['a'])); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
