"""The page: complete, self-contained, and whole when parts are missing."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.evaluation import Evaluation, ModelInfo
from tfkd.metrics import CaseTable
from tfkd.report import write_report

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects text, checks nesting."""

    def __init__(self, path):
        super().__init__()
        self.open, self.text, self.tags, self.links = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def histories(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "epoch,loss,student_loss,region_affinity,slice_dice,val_loss,val_slice_dice\n"
        "0,2,1,0.5,0.3,2.1,0.2\n1,1,0.6,0.3,0.6,1.2,0.5\n"
    )
    return {"distilled student": path, "somewhere else": path}


def test_full_report(evaluations, cases, histories, tmp_path):
    path = tmp_path / "deep" / "report.html"
    returned = write_report(
        path,
        evaluations[::-1],
        title="Liver <& tumour>",
        histories=histories,
        cases=cases,
        provenance={"Configuration": {"epochs": 3, "losses": {"a": [1, 2]}}, "manifest": "abc123"},
    )
    assert returned == path
    assert path.stat().st_size < 3_000_000
    assert list(path.parent.iterdir()) == [path]
    page = Page(path)
    for text in (
        *("Liver <& tumour>", "3 patients", "per slice", "What distillation adds"),
        *('empty="exclude"', "1 in neither mask", "Largest liver", "patient case-2"),
        *("abc123", "epochs", "1, 2", "distilled student: every loss", "80× smaller"),
    ):
        assert text in page.words, text
    positions = [page.words.index(f" {row.name} ") for row in evaluations]
    assert positions == sorted(positions)


def test_self_contained(evaluations, cases, histories, tmp_path):
    path = write_report(tmp_path / "r.html", evaluations, cases=cases, histories=histories)
    page = Page(path)
    assert "script" not in page.tags
    assert all(link.startswith(("data:", "#")) for link in page.links)
    text = path.read_text(encoding="utf-8")
    used = set(re.findall(r'<use href="#([\w-]+)"', text))
    assert used
    assert used <= set(re.findall(r' id="([\w-]+)"', text))
    pictures = [link for link in page.links if link.startswith("data:image/svg")]
    assert len(pictures) == 4  # Dice per patient, overview, losses of two runs
    for picture in pictures:
        ElementTree.fromstring(base64.b64decode(picture.partition(",")[2]))


def test_table_shows_the_numbers(evaluations, tmp_path):
    text = " ".join(write_report(tmp_path / "r.html", evaluations).read_text().split())
    for row in evaluations:
        for label in row.table.foreground:
            mean, sd = row.table.mean_dice(label), row.table.sd_dice(label)
            assert f"{mean:.3f} ± {sd:.3f}<small>global {row.table.global_dice(label):.3f}" in text


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_missing_rows(evaluations, cases, tmp_path, count):
    page = Page(write_report(tmp_path / "r.html", evaluations[-count:], cases=cases))
    assert "What distillation adds" not in page.words
    assert "int8 file" in page.words
    assert "smaller" not in page.words  # no teacher to compare with


def test_nothing_but_one_table(tmp_path):
    truth = np.array([[[0, 1]]])
    table = CaseTable((), ("background", "liver", "tumour")).with_case("k", truth, 0 * truth, 1.0)
    page = Page(write_report(tmp_path / "r.html", [Evaluation(ModelInfo("m"), table)]))
    assert "1 patient," in page.words
    assert "1 missed" in page.words
    assert "missed 0.000" in page.words
    assert "On the slices" not in page.words
    assert "Training" not in page.words


def test_many_classes_have_their_own_table(tmp_path):
    names = ("background", *(f"organ {index}" for index in range(1, 9)))
    truth = np.arange(9)[:, None, None]
    table = CaseTable((), names).with_case("k", truth, truth, 1.0)
    page = Page(write_report(tmp_path / "r.html", [Evaluation(ModelInfo("m"), table)]))
    assert page.words.count("organ 8") >= 3


def test_errors_leave_no_file(evaluations, tmp_path):
    path = tmp_path / "r.html"
    with pytest.raises(RecordError, match=r"nowhere\.csv"):
        write_report(path, evaluations, histories={"x": tmp_path / "nowhere.csv"})
    with pytest.raises(ValueError, match="window_hu"):
        write_report(path, evaluations, window_hu=(1, 1))
    with pytest.raises(RecordError, match="at least one"):
        write_report(path, [])
    assert list(tmp_path.iterdir()) == []
