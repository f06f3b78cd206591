"""A paired test over patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["PairedTest", "paired_test"]

# With n differences, the smallest two-sided p of a signed-rank test is 2 / 2ⁿ: 0.0625 for 5.
FEWEST = 6


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test, two-sided.

    Attributes:
        n: Patients with a difference other than 0, which alone count.
        p: The p-value; None if n is so small that it cannot fall below 0.05.
    """

    n: int
    p: float | None


def paired_test(differences: Sequence[float]) -> PairedTest:
    """Tests whether differences of patients lie symmetrically about 0.

    Exact, except where two differences are equal in size, for which SciPy's normal approximation
    is taken, but never a p below the smallest exact one, 2 / 2ⁿ.

    Args:
        differences: One for each patient; NaN for a patient without a score is left out, and so is
            0, as Wilcoxon does.

    Reference:
        Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1(6), 1945.
    """
    from scipy.stats import wilcoxon

    values = np.asarray(differences, np.float64)
    values = values[~np.isnan(values) & (values != 0)]
    if values.size < FEWEST:
        return PairedTest(int(values.size), None)
    tied = len(np.unique(np.abs(values))) < values.size
    method = "asymptotic" if tied else "exact"
    p = max(float(wilcoxon(values, method=method).pvalue), 2 / 2**values.size)
    return PairedTest(int(values.size), p)
