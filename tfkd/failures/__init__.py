"""What is said of an error that ends a command or one case of many, and where its traceback is."""

from tfkd.failures.explain import explain, is_expected
from tfkd.failures.one_line import one_line
from tfkd.failures.working_on import working_on

__all__ = ["explain", "is_expected", "one_line", "working_on"]
