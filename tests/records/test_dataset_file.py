import json
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RecordError
from tfkd.records.dataset_file import check_one_channel, file_ending, read_dataset_file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text('{"labels": {"Hüfte": 1}}', encoding=encoding)
    assert read_dataset_file(path) == {"labels": {"Hüfte": 1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"[1]", "received a list"),
        (b"null", "received null"),
        (b'{\n "a": 1\n "b": 2}', "line 3"),
        (b'{"labels": {"a": 0, "a": 1}}', "the key 'a' is there twice"),
        ('{"name": "Hüfte"}'.encode("latin-1"), "save it as UTF-8"),
        (b"[" * 100_000, "expected JSON"),
    ],
)
def test_what_is_not_one_object_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"dataset\.json: .*{message}"):
        read_dataset_file(path)


def test_a_folder_or_nothing_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"is missing.*found no such file"):
        read_dataset_file(tmp_path / "dataset.json")
    (tmp_path / "dataset.json").mkdir()
    with pytest.raises(RecordError, match="found a folder"):
        read_dataset_file(tmp_path / "dataset.json")


@pytest.mark.parametrize("channels", [{"0": "CT"}, ["CT"], "CT", {"0": "CBCT"}, {}, None])
def test_one_channel_of_ct_is_taken(channels: Any) -> None:
    check_one_channel({"modality": channels}, Path("dataset.json"))


def test_other_channels_are_refused_or_told() -> None:
    path = Path("dataset.json")
    with pytest.raises(RecordError, match="received 2: CT, PET"):
        check_one_channel({"channel_names": {"0": "CT", "1": "PET"}}, path)
    with pytest.raises(RecordError, match="received a number"):
        check_one_channel({"modality": 1}, path)
    with pytest.warns(UserWarning, match="expected CT, received 'MRI'"):
        check_one_channel({"modality": {"0": "MRI"}}, path)


@pytest.mark.parametrize(
    ("given", "ending"),
    [
        (None, None),
        ("", None),
        (".nii.gz", ".nii.gz"),
        ("nii.gz", ".nii.gz"),
        (".nii", ".nii"),
        (".NII", ".nii"),
    ],
)
def test_the_file_ending_is_read(given: str | None, ending: str | None) -> None:
    assert file_ending({"file_ending": given}, Path("dataset.json")) == ending


@pytest.mark.parametrize("given", [".png", 5, [".nii.gz"], ".gz"])
def test_files_that_are_not_nifti_are_refused(given: Any) -> None:
    with pytest.raises(RecordError, match=r"'file_ending': expected \.nii\.gz or \.nii"):
        file_ending(json.loads(json.dumps({"file_ending": given})), Path("dataset.json"))
