"""Work on the next items while the present one is in use."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

__all__ = ["prefetch"]

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], ahead: int = 2) -> Generator[Item]:
    """Yield the items, which a thread of its own makes.

    The thread is at most `ahead` + 1 items in front. An error in making one is raised here, where
    the item would have come. When the generator is closed, the thread ends after its present item;
    where `items` has a `close`, as a generator does, it is closed first.

    Args:
        items: What to iterate over.
        ahead: Items that may lie ready, at least 1.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stopped.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put("item", item)
                del item  # not kept while the next is made
                if stopped.is_set():
                    break
            put("end", None)
        except BaseException as error:  # raised again where the item would have come
            put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                try:
                    raise value
                finally:
                    del value  # whose traceback holds this frame: a cycle
            yield value
            del value  # not kept while the next is awaited
    finally:
        stopped.set()
        thread.join()
