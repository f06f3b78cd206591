"""Nothing leaks while silenced, and everything works afterwards."""

import contextlib
import io
import logging
import os
import sys
import warnings

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
