"""Speed benchmarks in the form of asv: classes with `setup`, `time_*` and `params`."""
