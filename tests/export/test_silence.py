"""Nothing leaks while silenced, and everything works afterwards."""

import contextlib
import io
import logging
import os
import sys
import warnings

import pytest

from tfkd.export.silence import silenced


def test_both_levels_are_silent_and_come_back(capfd):
    with silenced():
        print("python")
        print("python", file=sys.stderr)
        os.write(1, b"c++")
        os.write(2, b"c++")
        warnings.warn("noise", stacklevel=1)  # an error elsewhere in these tests
    print("after")
    os.write(2, b"after")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("after\n", "after")


def test_comes_back_after_an_error(capfd):
    before = len(os.listdir("/dev/fd"))
    with contextlib.suppress(KeyError), silenced():
        print("lost")
        raise KeyError
    print("after")
    assert capfd.readouterr().out == "after\n"
    assert len(os.listdir("/dev/fd")) == before


def test_tensorflows_logger_is_quiet_whatever_stream_it_holds() -> None:
    logger, kept = logging.getLogger("tensorflow"), io.StringIO()
    handler, level = logging.StreamHandler(kept), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with silenced():
            logger.info("inside")
        logger.info("after")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert kept.getvalue() == "after\n"


def test_the_first_message_of_a_process_may_fall_inside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gives the root logger a handler, which is not to write into the closed sink later."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # as in a process that has just begun
    with silenced():
        logging.warning("inside")
        assert root.handlers
    assert not root.handlers
    logging.warning("after")
    assert capsys.readouterr().err == "WARNING:root:after\n"


def test_handlers_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    root, kept = logging.getLogger(), io.StringIO()
    expected = [logging.NullHandler()]
    monkeypatch.setattr(root, "handlers", expected.copy())
    with silenced():
        root.addHandler(logging.StreamHandler())
        root.addHandler(own := logging.StreamHandler(kept))
    assert root.handlers == [*expected, own]
