"""A synthetic cohort that looks like abdominal CT, with liver and tumour masks."""

from tfkd.phantom.cohort import write_phantom_cohort

__all__ = ["write_phantom_cohort"]
