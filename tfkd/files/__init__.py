"""Files are read and written safely, whatever they hold; at the bottom of the house."""

from tfkd.files.strict_json import parse_json
from tfkd.files.typed import is_sane, kind_of, typed

__all__ = ["is_sane", "kind_of", "parse_json", "typed"]
