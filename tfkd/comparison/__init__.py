"""Methods against each other: teachers × students × methods × seeds, one table.

Nothing here imports TensorFlow or Keras before a plan is looked at more closely.

Empty masks: as in `tfkd.metrics`. A label that neither the truth nor the mask of a patient holds is
left out of that label's mean; a false positive on an empty truth and a miss score 0.
"""

from tfkd.comparison.compare import compare
from tfkd.comparison.plan.plan import Plan
from tfkd.comparison.plan.plan_file import read_plan
from tfkd.comparison.study import Study
from tfkd.comparison.table import Line, Table

__all__ = ["Line", "Plan", "Study", "Table", "compare", "read_plan"]
