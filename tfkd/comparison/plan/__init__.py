"""A plan: which teachers, students, methods and seeds are compared, and how they are trained."""

from tfkd.comparison.plan.plan import Plan
from tfkd.comparison.plan.plan_file import naming_plan, read_plan

__all__ = ["Plan", "naming_plan", "read_plan"]
