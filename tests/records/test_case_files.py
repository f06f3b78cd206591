from pathlib import Path

import pytest

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key, select_case

IDS = ("volume-2", "volume-7", "volume-10")


def test_numbers_in_names_order_by_value() -> None:
    assert sorted(["b-10", "b-2", "a", "b-2a"], key=natural_key) == ["a", "b-2", "b-2a", "b-10"]


@pytest.mark.parametrize("wanted", ["volume-7", "7", "007", 7, " 7 "])
def test_a_case_is_found_by_id_or_number(wanted: str | int) -> None:
    assert select_case(wanted, IDS) == "volume-7"


def test_an_unknown_case_lists_the_known_ones() -> None:
    with pytest.raises(RecordError, match=r"'8' does not exist.*volume-2, volume-7"):
        select_case("8", IDS)


def test_a_number_that_fits_two_cases_is_refused() -> None:
    with pytest.raises(RecordError, match="ambiguous"):
        select_case("1", ("ct_1", "mr_1"))


def test_a_source_refuses_two_files_for_a_case_and_no_cases() -> None:
    one = CaseFiles("a", Path("a.nii"), Path("m.nii"), "a")
    names = ("background", "liver")
    with pytest.raises(RecordError, match="case a: expected one CT file per case, found 2"):
        Source("x", Path(), (one, one), names, (0.0, 1.0))
    with pytest.raises(RecordError, match="found none"):
        Source("x", Path(), (), names, (0.0, 1.0))
