import pytest

from tfkd.errors import RecordError
from tfkd.records.names import check_case_names, check_label_names


def test_plain_names_pass() -> None:
    check_case_names(["patient 4", "volume-7", "Müller.2"], "here")
    check_label_names(["background", "right_kidney", "Left Atrium", "L1"], "here")


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", ".a", " a", "a\n", "a\0", "x" * 201])
def test_a_case_has_the_name_of_a_file(name: str) -> None:
    with pytest.raises(RecordError, match=r"here: case .* cannot be the name of a file"):
        check_case_names(["ok", name], "here")


def test_names_that_differ_in_case_or_form_only_are_refused() -> None:
    with pytest.raises(RecordError, match="cases Abd_1 and abd_1 differ in upper and lower case"):
        check_case_names(["Abd_1", "abd_1"], "here")
    with pytest.raises(RecordError, match="differ in upper and lower case"):
        check_case_names(["M\u00fcller", "Mu\u0308ller"], "here")
    with pytest.raises(RecordError, match="labels 1 and 2 have one name, 'kidney' and 'Kidney'"):
        check_label_names(["background", "kidney", "Kidney"], "here")


def test_no_class_is_called_ignore() -> None:
    with pytest.raises(RecordError, match=r"label 2 is called 'ignore'.*`ignored_label=2`"):
        check_label_names(["background", "liver", "ignore"], "here")
