"""The paired test, beside SciPy and by hand."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from tfkd.evaluation.paired_test import PairedTest, paired_test


def test_as_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.03, 12)
    expected = wilcoxon(differences, method="exact").pvalue
    assert paired_test(differences) == PairedTest(12, pytest.approx(expected))


def test_by_hand() -> None:
    # All six of one sign: two of the 2⁶ equally likely patterns are as extreme.
    assert paired_test([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == PairedTest(6, pytest.approx(2 / 64))
    # One more against, of the smallest size: W = 1, two patterns on either side.
    assert paired_test([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.01]) == PairedTest(
        7, pytest.approx(4 / 128)
    )


def test_no_difference_and_no_score_do_not_count() -> None:
    six = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert paired_test([*six, 0.0, float("nan")]) == paired_test(six)


def test_equal_sizes_take_the_approximation() -> None:
    test = paired_test([0.1, 0.1, 0.2, 0.2, 0.3, -0.3])
    expected = wilcoxon([0.1, 0.1, 0.2, 0.2, 0.3, -0.3], method="asymptotic").pvalue
    assert test == PairedTest(6, pytest.approx(expected))


def test_the_approximation_is_not_below_the_smallest_exact_p() -> None:
    equal = [0.1] * 6
    assert wilcoxon(equal, method="asymptotic").pvalue < 2 / 64
    assert paired_test(equal) == PairedTest(6, 2 / 64)


def test_too_few_patients_have_no_p() -> None:
    assert paired_test([0.1, 0.2, 0.3, 0.4, 0.5]) == PairedTest(5, None)
    assert paired_test([]) == PairedTest(0, None)
