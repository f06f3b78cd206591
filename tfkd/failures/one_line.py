"""A message as one line that a terminal can show."""

import sys

__all__ = ["is_of_tensorflow", "one_line"]

_LONGEST = 2000  # characters; a value out of a damaged file may have millions


def one_line(message: object) -> str:
    """Text without line breaks and control characters, and not longer than a reader bears.

    Errors of Keras and TensorFlow come with paragraphs; those of TensorFlow are stripped of the
    stack of the graph's making. Names out of a damaged file may hold anything.

    Args:
        message: An exception, a warning or a text.
    """
    try:
        lines = str(message).splitlines()
    except Exception:  # an exception whose own text fails
        lines = []
    if is_of_tensorflow(message):
        # The stack is indented.
        reason = [line for line in lines if not line.startswith((" ", "\t", "Traceback (most"))]
        lines = [f"{type(message).__name__}:", *reason]
    text = " ".join(line.strip() for line in lines if line.strip())
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    return "".join(map(_visible, text))


def is_of_tensorflow(error: object) -> bool:
    """Whether it is an error of TensorFlow's runtime; does not load TensorFlow to find out."""
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)  # absent during its import
    return errors is not None and isinstance(error, errors.OpError)


def _visible(character: str) -> str:
    """Escape sequences change what a terminal shows; half a surrogate pair cannot be printed."""
    code = ord(character)
    odd = code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000
    return ascii(character)[1:-1] if odd else character
