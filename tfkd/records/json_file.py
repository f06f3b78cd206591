"""JSON by other hands: one object, each key once."""

from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.files import kind_of, parse_json

__all__ = ["read_object"]


def read_object(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file, in UTF-8, UTF-16 or UTF-32, with or without a mark.

    Raises:
        RecordError: If the file holds something else, or a key twice.
    """
    content = path.read_bytes()
    if not content.strip():
        raise RecordError(f"{path}: expected a JSON object, but the file is empty.")
    try:
        facts = parse_json(content)
    except ValueError as error:
        raise RecordError(
            f"{path}: expected JSON, received something else: {error}. Correct the file, and save "
            f"it as UTF-8."
        ) from error
    if not isinstance(facts, dict):
        raise RecordError(f"{path}: expected a JSON object, received {kind_of(facts)}.")
    return facts
