"""Text of the comparison table: headings, cells, notes."""

import math

from tfkd.comparison.table.table import SMALLEST_GAP, Line, Table
from tfkd.evaluation.paired_test import FEWEST, PairedTest
from tfkd.report.numbers import MISSING, bytes_text, count_text, dice_text, time_text

__all__ = ["cells_of", "headings", "notes", "p_text", "spread_text", "summary"]


def headings(table: Table) -> list[str]:
    """The columns' names, in the order of `cells_of`."""
    return [
        "network",
        "method",
        "teacher",
        "seeds",
        "Dice",
        "points",
        "gap closed",
        "p",
        "p to best",
        *table.label_names,
        "weights",
        "steps",
        "ms/step",
        "int8 file",
        "int8 points",
        "ms/slice",
    ]


def cells_of(line: Line) -> list[str]:
    """A line's cells, as many as there are headings."""
    labels = [
        spread_text(mean, sd) for mean, sd in zip(line.label_means, line.label_sds, strict=True)
    ]
    return [
        line.network,
        line.method,
        line.teachers or MISSING,
        seeds_text(line),
        spread_text(line.mean, line.sd),
        MISSING if math.isnan(line.points) else f"{line.points:+.1f}",
        gap_text(line),
        p_text(line.test),
        "best" if line.is_best else p_text(line.test_to_best),
        *labels,
        count_text(line.parameters),
        MISSING if line.steps is None else f"{line.steps:,}",
        time_text(line.ms_per_step),
        "failed" if line.int8_error else bytes_text(line.int8_bytes),
        MISSING if line.int8_points is None else f"{line.int8_points:+.1f}",
        time_text(line.int8_ms),
    ]


def spread_text(mean: float, sd: float) -> str:
    """`0.742 ± 0.011`; the mean alone for one seed."""
    return dice_text(mean) if math.isnan(sd) else f"{dice_text(mean)} ± {dice_text(sd)}"


def seeds_text(line: Line) -> str:
    """How many seeds are in, and of how many while some are missing."""
    if line.is_complete:
        return str(len(line.seeds))
    return f"{len(line.seeds_done)} of {len(line.seeds)}"


def gap_text(line: Line) -> str:
    """The share of the gap closed; the reason where there is none."""
    if line.kind != "distilled":
        return MISSING
    return line.gap_note if math.isnan(line.gap_closed) else f"{100 * line.gap_closed:.0f} %"


def p_text(test: PairedTest | None) -> str:
    """The p-value, or how few patients there are for one."""
    if test is None:
        return MISSING
    if test.p is None:
        return f"n = {test.n}"
    return "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"


def summary(table: Table) -> list[tuple[str, str, str]]:
    """For each student, its best method: (heading, figure, explanation)."""
    cards = []
    for network in dict.fromkeys(line.network for line in table.lines if line.kind == "distilled"):
        lines = [
            line
            for line in table.lines
            if line.kind == "distilled" and line.network == network and not math.isnan(line.points)
        ]
        if not lines:
            continue
        best = max(lines, key=lambda line: line.points)
        by = f"{best.method} ← {best.teachers}"
        closed = "" if math.isnan(best.gap_closed) else f", {gap_text(best)} of the gap closed"
        said = f"{by}, Dice {spread_text(best.mean, best.sd)}{closed}"
        if not best.is_complete:
            said += f"; {seeds_text(best)} seeds"
        cards.append((f"{network}, best method", f"{best.points:+.1f} points", said))
    return cards


def notes(table: Table) -> list[str]:
    """What the numbers are, and what is to be kept in mind."""
    threads = {line.int8_threads for line in table.lines if line.int8_threads}
    patients = "the test patients" if table.patients is None else f"{table.patients} test patients"
    said = [
        f"Dice: volumes of {patients} ({table.score}), mean over the labels of the mean over the "
        "patients; mean ± standard deviation over the seeds. A label that is in neither truth nor "
        "mask of a patient is left out.",
        "points: hundredths of Dice over the plain student. gap closed: (method − plain) / "
        f"(teacher − plain), where the teacher is at least {SMALLEST_GAP:g} point above. Both are "
        "from the seeds that method and plain student have.",
        _test_note(table),
        "weights: trainable ones. ms/step: median training step without the first epoch; int8 "
        "points: Dice of the int8 file on these volumes over that of the network it was made of; "
        f"ms/slice: median of the int8 file at batch 1, {_threads(threads)}.",
    ]
    if len(table.machines) == 1:
        said.append(f"Made on {table.machines[0]}.")
    elif table.machines:
        said.append(
            f"Made on different machines ({'; '.join(table.machines)}): times of different ones "
            "cannot be compared."
        )
    unfinished = [line for line in table.lines if not line.is_complete]
    if unfinished:
        missing = sum(len(line.seeds) - len(line.seeds_done) for line in unfinished)
        said.append(f"Not finished: {missing} runs are missing.")
    said += [f"{words[0].upper()}{words[1:]}." for words in table.missing_files.words]
    said += [
        f"{line.network}, {line.method}: no int8 file; {line.int8_error}"
        for line in table.lines
        if line.int8_error
    ]
    # Not before: it loads TensorFlow, which is started after this module is loaded.
    from tfkd.export.verify import MIN_AGREEMENT

    lowest = MIN_AGREEMENT["int8"]
    said += [
        f"{line.network}, {line.method}: an int8 file gives Keras' label in "
        f"{100 * line.int8_agreement:.1f} % of the pixels, fewer than the {100 * lowest:g} % that "
        "an export asks for; its times are those of a file of little use."
        for line in table.lines
        if line.int8_agreement is not None and line.int8_agreement < lowest
    ]
    said += [
        f"Different networks have the name {name}: {'; '.join(map(_taught, networks.items()))}. "
        "Differences between these seeds are not of the method alone."
        for name, networks in table.taught_by.items()
        if len(networks) > 1
    ]
    return said


def _taught(network: tuple[str, tuple[int, ...]]) -> str:
    fingerprint, seeds = network
    taught = f"taught seeds {', '.join(map(str, seeds))}" if seeds else "is the one in the table"
    return f"{fingerprint[:8]} {taught}"


def _test_note(table: Table) -> str:
    text = (
        "p: Wilcoxon's signed-rank test, two-sided, of the patients' mean Dice over the seeds, "
        "method against plain; not corrected for the number of methods."
    )
    tests = [
        test for line in table.lines for test in (line.test, line.test_to_best) if test is not None
    ]
    numbers = sorted({test.n for test in tests if test.p is not None})
    if numbers:
        text += f" n = {', '.join(map(str, numbers))} patients."
    if any(test.p is None for test in tests):
        text += f" With fewer than {FEWEST} patients it cannot fall below 0.05, and is not given."
    if any(line.is_best for line in table.lines):
        text += (
            " p to best: the same test against the student's best method, from the seeds that both "
            "have. The best has the highest Dice of those with the most seeds; as it is chosen on "
            "these patients, the test favours it."
        )
    return text


def _threads(threads: set[int]) -> str:
    if not threads:
        return "not measured"
    return ", ".join(f"{n} thread{'s' if n > 1 else ''}" for n in sorted(threads))
