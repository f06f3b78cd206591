"""Ways to spoil bytes, text and JSON; each is a function of a random generator."""

import copy
import json
from typing import Any

import numpy as np

__all__ = ["ODD_TEXT", "mutate_bytes", "mutate_json", "mutate_text"]

ODD_TEXT = "a\nb"
"""A text of two lines, which a message may quote."""

_ODD = (
    *(None, True, False, 0, 1, -1, 2**31, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e308, 1e-320),
    *("", "x", "0", "NaN", "../x", "/etc/passwd", ODD_TEXT, "\0", "ü" * 300, "nan", "inf"),
    *([], [1], [[]], {}, {"a": 1}, [0] * 50, ["x", "x"]),
)
# As text, since Python's own writer gives neither.
_RAW = ("NaN", "-Infinity", "1" + "0" * 400, "1e999", "[" * 2000 + "]" * 2000, "nul", "'x'")


def mutate_bytes(rng: np.random.Generator, content: bytes) -> tuple[bytes, str]:
    """Flips, cuts, lengthens or overwrites; never gives the same bytes."""
    kind = int(rng.integers(7))
    at = int(rng.integers(len(content)))
    size = int(rng.integers(1, 64))
    spoilt = bytearray(content)
    if kind <= 1:
        bit = int(rng.integers(8))
        spoilt[at] ^= 1 << bit
        return bytes(spoilt), f"bit {bit} of byte {at} flipped"
    if kind == 2:
        return content[:at], f"cut to {at} bytes"
    if kind == 3:
        more = rng.bytes(size) if rng.integers(2) else b"\0" * size
        return content + more, f"{size} bytes more"
    if kind == 4:
        spoilt[at : at + size] = rng.bytes(len(spoilt[at : at + size]))
        changed = bytes(spoilt)
        return (changed if changed != content else changed[:-1]), f"noise at {at}, {size} bytes"
    if kind == 5:
        del spoilt[at : at + size]
        return bytes(spoilt), f"{size} bytes gone at {at}"
    return content[:at] + content[at : at + size] * 2 + content[at + size :], f"twice at {at}"


def mutate_json(rng: np.random.Generator, document: Any) -> tuple[bytes, str]:
    """Changes, removes, renames or doubles one value anywhere in a document, or its text."""
    kind = int(rng.integers(8))
    if kind == 0:
        return mutate_bytes(rng, json.dumps(document).encode())
    document = copy.deepcopy(document)
    places = list(_places(document))
    holder, key, where = places[int(rng.integers(len(places)))]
    if kind == 1:
        del holder[key]
        return json.dumps(document).encode(), f"{where} removed"
    if kind == 2 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
        return json.dumps(document).encode(), f"{where} renamed"
    if kind == 3 and isinstance(holder, dict):
        value, mark = holder.pop(key), "@twice@"
        holder[mark] = 0
        twice = f"{json.dumps(key)}: {json.dumps(value)}, {json.dumps(key)}: 0"
        return json.dumps(document).replace(f'"{mark}": 0', twice).encode(), f"{where} twice"
    if kind == 4:
        raw = _RAW[int(rng.integers(len(_RAW)))]
        holder[key] = "@raw@"
        return json.dumps(document).replace('"@raw@"', raw).encode(), f"{where} = {raw[:20]}"
    if kind == 5:
        encoding = ("utf-8-sig", "utf-16", "latin-1")[int(rng.integers(3))]
        text = json.dumps(document, ensure_ascii=False) + "\n"
        return text.encode(encoding, errors="replace"), f"written as {encoding}"
    odd = _ODD[int(rng.integers(len(_ODD)))]
    holder[key] = odd
    return json.dumps(document).encode(), f"{where} = {odd!r:.40}"


def mutate_text(rng: np.random.Generator, text: str) -> tuple[bytes, str]:
    """Spoils one line of settings, or its bytes."""
    kind = int(rng.integers(5))
    lines = text.splitlines()
    at = int(rng.integers(len(lines)))
    if kind == 0:
        return mutate_bytes(rng, text.encode())
    if kind == 1:
        lines.insert(at, lines[at])
        return "\n".join(lines).encode(), f"line {at} twice"
    if kind == 2:
        del lines[at]
        return "\n".join(lines).encode(), f"line {at} gone"
    key = lines[at].split("=")[0]
    odd = ("nan", "inf", "-1", "0", "1" + "0" * 400, '""', "[]", "{}", "1979-05-27", "true", "[[")
    value = odd[int(rng.integers(len(odd)))]
    lines[at] = f"{key}= {value}"
    return "\n".join(lines).encode(), f"line {at}: {key.strip()} = {value[:20]}"


def _places(value: Any, where: str = "") -> Any:
    """Every (holder, key, path) of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        path = f"{where}/{key}"
        yield value, key, path
        if isinstance(inner, (dict, list)):
            yield from _places(inner, path)
