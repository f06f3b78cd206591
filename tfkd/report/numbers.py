"""Numbers as people read them."""

from math import isnan

__all__ = [
    "MAX_CLASS_COLUMNS",
    "MISSING",
    "bytes_text",
    "compared_text",
    "count_text",
    "dice_text",
    "megabytes_text",
    "ratio_text",
    "time_text",
    "volume_text",
]

MISSING = "–"

MAX_CLASS_COLUMNS = 4
"""With more classes than this, Dice per class has a table of its own."""


def dice_text(value: float) -> str:
    """Dice to three places; a dash for NaN."""
    return MISSING if isnan(value) else f"{value:.3f}"


def count_text(count: int | None) -> str:
    """A number of weights: 354 k, 34.5 M; a dash for None."""
    if count is None:
        return MISSING
    for limit, unit in ((1_000_000, " M"), (1_000, " k")):
        if count >= 0.9995 * limit:
            return f"{_three_digits(count / limit)}{unit}"
    return str(count)


def bytes_text(size_bytes: int | None) -> str:
    """A file size in powers of 1000: 480 kB, 1.92 MB; a dash for None."""
    if size_bytes is None:
        return MISSING
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    if size_bytes < 999_500:
        return f"{_three_digits(size_bytes / 1e3)} kB"
    return f"{_three_digits(size_bytes / 1e6)} MB"


def megabytes_text(size_bytes: int | None) -> str:
    """A size in MB of 10⁶ bytes, without the unit; a dash for None."""
    return MISSING if size_bytes is None else f"{size_bytes / 1e6:.2f}"


def time_text(value: float | None) -> str:
    """A time in whatever unit, to three digits; a dash for None."""
    return MISSING if value is None else _three_digits(value)


def ratio_text(ratio: float | None) -> str:
    """A ratio to the teacher: 12×; a dash for None."""
    if ratio is None:
        return MISSING
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{_two_digits(ratio)}×"


def compared_text(ratio: float, above: str, below: str) -> str:
    """A ratio to the teacher in words: "12× smaller", "2.0× larger"."""
    return f"{ratio_text(ratio)} {above}" if ratio >= 1 else f"{ratio_text(1 / ratio)} {below}"


def volume_text(volume_ml: float) -> str:
    """A volume in millilitres, to a tenth below ten; "none" for an empty truth."""
    if volume_ml == 0:
        return "none"
    return f"{volume_ml:.0f}" if volume_ml >= 9.95 else f"{max(volume_ml, 0.1):.1f}"


def _three_digits(value: float) -> str:
    for places, limit in ((2, 9.995), (1, 99.95)):
        if abs(value) < limit:
            return f"{value:.{places}f}"
    return f"{value:.0f}"


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"
