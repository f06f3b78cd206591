"""300 mutations: each ends in a right result or in an error of one line."""

from collections import Counter

import pytest

from tests.robustness.runner import TARGETS, run

COUNT = 300


@pytest.mark.filterwarnings("ignore")  # told is told; the runner looks at warnings by itself
def test_no_mutation_does_harm():
    outcomes = list(run(range(COUNT)))
    assert [one for one in outcomes if one.outcome == "FAILED"] == []
    assert {one.target for one in outcomes} == set(TARGETS)
    # A fuzzer that only ever meets errors, or none, tests nothing.
    counts = Counter(one.outcome for one in outcomes)
    assert counts["refused"] > COUNT / 4
    assert counts["refused"] < 0.95 * COUNT


def test_a_seed_gives_the_same_mutation():
    once, again = (list(run([3, 14, 159])) for _ in range(2))
    assert once == again
