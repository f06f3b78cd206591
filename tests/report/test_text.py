"""Tables as text, cell by cell."""

from tfkd.report.numbers import megabytes_text
from tfkd.report.text import columns, markdown_table


def test_the_first_column_to_the_left_and_the_others_to_the_right():
    assert columns([["a", "long", "b"], ["wide", "1", ""]]) == "a     long  b\nwide     1"


def test_markdown():
    rows = [["a", "by", "Dice"], ["ENet", "us", "1"]]
    assert markdown_table(rows, left=2).splitlines() == [
        "| a    | by | Dice |",
        "| ---- | -- | ---: |",
        "| ENet | us |    1 |",
    ]


def test_megabytes():
    assert megabytes_text(1_234_567) == "1.23"
    assert megabytes_text(None) == "–"
