"""The rows of a comparison become one table, in words and as files."""

from tfkd.comparison.table.table import Line, Table, table_of

__all__ = ["Line", "Table", "table_of"]
