from tfkd.cli.columns import columns, megabytes


def test_the_first_column_to_the_left_and_the_others_to_the_right():
    assert columns([["a", "long", "b"], ["wide", "1", ""]]) == "a     long  b\nwide     1"


def test_megabytes():
    assert megabytes(1_234_567) == "1.23"
    assert megabytes(None) == "–"
