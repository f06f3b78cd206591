"""A folder, an archive or a file: what is read as a bundle, and what is refused."""

import shutil
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import CARD_NAME, Contract, Predictor, contract_path, open_bundle
from tfkd.inference import bundle as bundle_module


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def members(model_path: Path) -> dict[str, bytes]:
    pair = (model_path, contract_path(model_path))
    return {path.name: path.read_bytes() for path in pair} | {CARD_NAME: b"# Model card\n"}


@pytest.fixture
def archive(members: dict[str, bytes], tmp_path: Path) -> Path:
    return _zip(tmp_path / "student.zip", members)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what other processes do in the system's temporary folder out of `_folders`."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("tfkd-*"))


def test_a_file_is_its_own_bundle(model_path):
    with open_bundle(model_path) as model:
        assert model == model_path


def test_a_folder_is_its_only_model(model_path, tmp_path):
    with open_bundle(tmp_path) as model:
        assert model == model_path
    shutil.copy(model_path, tmp_path / "other.tflite")
    message = r"expected one \.tflite file.*received other\.tflite, student\.tflite"
    with pytest.raises(ContractError, match=message), open_bundle(tmp_path):
        pass


def test_an_empty_folder(tmp_path):
    with pytest.raises(ContractError, match="received none"), open_bundle(tmp_path):
        pass


def test_an_archive_is_unpacked_and_goes(archive, members):
    before = _folders()
    with open_bundle(archive) as model:
        assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == members
        Contract.load(model)
        assert len(_folders() - before) == 1
    assert not _folders() - before


def test_the_card_may_be_missing(members, tmp_path):
    del members[CARD_NAME]
    with open_bundle(_zip(tmp_path / "student.ZIP", members)) as model:
        Contract.load(model)


def test_predictor_takes_all_three(model_path, archive, make_ct):
    ct = make_ct()
    expected = Predictor(model_path)(ct).array
    before = _folders()
    for path in (archive, str(archive), model_path.parent):
        predictor = Predictor(path)
        assert not _folders() - before
        assert predictor.check() == 1.0
        np.testing.assert_array_equal(predictor(ct).array, expected)


@pytest.mark.parametrize(
    "name",
    ["../escape.json", "/abs.json", "a/b.json", "..", "C:x.json", "..\\up.json", ".hidden.json"],
)
def test_path_traversal_is_refused(members, tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    archive = _zip(folder / "bad.zip", members | {name: b"{}"})
    with pytest.raises(ContractError, match=r"bad\.zip: expected files with plain names"):
        Predictor(archive)
    assert [path.name for path in folder.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize("name", ["setup.py", "other.json", "other.tflite", "notes.md"])
def test_an_unexpected_file_is_refused(members, tmp_path, name):
    archive = _zip(tmp_path / "bad.zip", members | {name: b""})
    with pytest.raises(ContractError, match=r"expected one \.tflite file, its contract"):
        Predictor(archive)


def test_a_name_twice_is_refused(members, tmp_path):
    archive = _zip(tmp_path / "bad.zip", members)
    with (
        zipfile.ZipFile(archive, "a") as more,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        more.writestr(CARD_NAME, b"another")
    with pytest.raises(ContractError, match="and nothing else"):
        Predictor(archive)


def test_an_oversized_member_is_refused(archive, monkeypatch):
    monkeypatch.setitem(bundle_module._LIMIT_BYTES, ".tflite", 100)
    with pytest.raises(ContractError, match=r"at most 100 bytes of student\.tflite, received \d+"):
        Predictor(archive)


def test_a_size_that_lies_is_refused(members, tmp_path):
    """The archive states 10 bytes of a card that has a megabyte."""
    archive = _zip(tmp_path / "bad.zip", members | {CARD_NAME: bytes(2**20)})
    content = bytearray(archive.read_bytes())
    entry = content.rfind(CARD_NAME.encode())  # in the central directory, 46 bytes into the entry
    content[entry - 46 + 24 : entry - 46 + 28] = struct.pack("<I", 10)
    archive.write_bytes(content)
    with pytest.raises(ContractError, match="can be read, received"):
        Predictor(archive)


def test_a_damaged_archive_is_named(archive):
    whole = archive.read_bytes()
    spoiled = bytearray(whole)
    spoiled[200:260] = bytes(60)
    for content in (b"", b"no archive", whole[: len(whole) // 2], bytes(spoiled)):
        archive.write_bytes(content)
        with pytest.raises(ContractError, match=r"student\.zip"):
            Predictor(archive)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"none\.zip: expected a bundle, found none"):
        Predictor(tmp_path / "none.zip")


def test_errors_name_the_archive_and_not_the_temporary_folder(members, tmp_path):
    members["student.tflite"] += b"\0"
    archive = _zip(tmp_path / "bad.zip", members)
    with pytest.raises(ContractError) as caught:
        Predictor(archive)
    assert str(caught.value).startswith(f"{archive}/student.tflite: expected SHA-256")
    del members["student.json"]
    with pytest.raises(ContractError) as caught:
        Predictor(_zip(tmp_path / "bad.zip", members))
    assert str(caught.value).startswith(f"{archive}/student.tflite: expected its contract")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(members, tmp_path, method):
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w", method) as written:
        for name, content in members.items():
            written.writestr(name, content)
    with pytest.raises(ContractError, match=rf"stored or deflated, received .* method {method}"):
        Predictor(archive)


def test_stored_members_are_read(members, tmp_path):
    with zipfile.ZipFile(tmp_path / "stored.zip", "w") as written:
        for name, content in members.items():
            written.writestr(name, content)
    assert Predictor(tmp_path / "stored.zip").check() == 1.0


def test_a_name_that_is_no_text_is_refused(members, tmp_path):
    archive = _zip(tmp_path / "bad.zip", members | {"\u00e9.json": b"{}"})
    content = archive.read_bytes()
    assert content.count(b"\xc3\xa9.json") == 2
    archive.write_bytes(content.replace(b"\xc3\xa9.json", b"\xc3\x28.json"))
    with pytest.raises(ContractError, match=r"bad\.zip: expected a \.zip archive that can be read"):
        Predictor(archive)
