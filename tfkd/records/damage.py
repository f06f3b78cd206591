"""TensorFlow's error about a damaged file, which does not name it, becomes one that does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["naming_damage_in"]


@contextmanager
def naming_damage_in(*data: Any) -> Iterator[None]:
    """Names the damaged file, with its cases, when a block fails to read one.

    `tf.data` reads shards behind the back of whoever trains. Only then are all checksums compared,
    which takes about a second for each gigabyte.

    Args:
        *data: What the block reads: records, or datasets of records, which know them as `records`;
            whatever else there is, is left alone.

    Raises:
        RecordError: If a shard, or a file of the cache beside the records, is damaged.
    """
    try:
        yield
    except Exception as error:
        if _is_data_loss(error):
            for one in data:
                check_files = getattr(getattr(one, "records", one), "check_files", None)
                if check_files is not None:
                    check_files()
        raise


def _is_data_loss(error: Exception) -> bool:
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    return errors is not None and isinstance(error, errors.DataLossError)
