"""Waits until all workers of a training are there, in a way that can be ended.

TensorFlow itself waits for them in C++, deaf to signals and for an hour. So they gather here first:
each connects to the first one, at the address that TensorFlow uses afterwards, says its number, and
is told who is missing, until nobody is.
"""

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from tfkd.cli.stopping import raising_on
from tfkd.errors import TrainingInterrupted

__all__ = ["gather"]

_PERIOD_S = 0.5  # between two attempts, and between two lists of who is missing
_SILENCE_S = 10.0  # a first worker that says nothing for so long is not there
_LONGEST_LINE = 10_000


def gather(addresses: Sequence[str], index: int, minutes: float) -> None:
    """Returns when all workers are there.

    Args:
        addresses: ``"host:port"`` of each worker.
        index: Which of them this process is, from 0.
        minutes: How long to wait.

    Raises:
        TrainingInterrupted: When the time is over, upon SIGTERM and upon Ctrl-C; names the workers
            that are not there.
    """
    missing = [number for number in range(len(addresses)) if number != index]
    end = time.monotonic() + 60 * minutes
    stopped = TrainingInterrupted("")
    try:
        with raising_on([signal.SIGTERM, signal.SIGINT], stopped):
            steps = _lead(addresses, end) if index == 0 else _follow(addresses, index, end)
            for missing in steps:
                if not missing:
                    return
    except TrainingInterrupted as error:
        if error is not stopped:
            raise
        raise TrainingInterrupted(
            f"told to stop while waiting for {_named(addresses, missing)}"
        ) from None
    raise TrainingInterrupted(
        f"waited {minutes:g} minutes in vain for {_named(addresses, missing)}. Expected every "
        "worker of TF_CONFIG to run, and its port to be open to the others; --wait-minutes sets "
        "the time"
    )


def _named(addresses: Sequence[str], numbers: Sequence[int]) -> str:
    word = "worker" if len(numbers) == 1 else "workers"
    return f"{word} {', '.join(f'{number} ({addresses[number]})' for number in numbers)}"


def _lead(addresses: Sequence[str], end: float) -> Iterator[list[int]]:
    """As the first worker: yields who is missing, until the time is over; lastly nobody."""
    others = range(1, len(addresses))
    here: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        port = int(addresses[0].rpartition(":")[2])
        server = None
        while time.monotonic() < end:
            if server is None:
                with contextlib.suppress(OSError):  # an earlier process may not have ended yet
                    server = stack.enter_context(_listen(port))
                    server.setblocking(False)
                    selector.register(server, selectors.EVENT_READ)
            until = time.monotonic() + _PERIOD_S
            while (left := until - time.monotonic()) > 0:
                for key, _ in selector.select(left) if server else ():
                    if key.fileobj is server:
                        with contextlib.suppress(OSError):  # gone before it was let in
                            connection = stack.enter_context(server.accept()[0])
                            connection.settimeout(1)
                            selector.register(connection, selectors.EVENT_READ)
                        continue
                    _hear(key.fileobj, selector, here, len(addresses))  # type: ignore[arg-type]
                if server is None:
                    time.sleep(left)
                if len(here) == len(others):
                    break
            missing = [number for number in others if number not in here]
            _tell(here, missing)
            yield missing


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _hear(
    connection: socket.socket,
    selector: selectors.BaseSelector,
    here: dict[int, socket.socket],
    count: int,
) -> None:
    """Notes who it is that connected, or that it has gone."""
    try:
        words = connection.recv(100).split()
        # One short segment arrives in one piece. Whatever else knocks at the port is sent away.
        name, number, of = words[0], int(words[1]), int(words[2])
        known = name == b"tfkd" and of == count and 0 < number < count
    except (OSError, IndexError, ValueError):
        known = False
    if known:
        here[number] = connection
        return
    selector.unregister(connection)
    connection.close()
    for number in [number for number, other in here.items() if other is connection]:
        del here[number]


def _tell(here: dict[int, socket.socket], missing: list[int]) -> None:
    line = f"tfkd {','.join(map(str, missing))}\n".encode()
    for connection in here.values():
        with contextlib.suppress(OSError):  # whoever is gone is found to be so by `_hear`
            connection.sendall(line)


def _follow(addresses: Sequence[str], index: int, end: float) -> Iterator[list[int]]:
    """As another worker: yields who is missing, until the time is over; lastly nobody."""
    host, _, port = addresses[0].rpartition(":")
    missing: list[int] = []
    while (left := end - time.monotonic()) > 0:
        yield [0, *missing]
        with contextlib.suppress(OSError, ValueError):
            limit_s = min(left, _SILENCE_S)
            address = (host.strip("[]"), int(port))
            with socket.create_connection(address, limit_s) as connection:
                connection.sendall(f"tfkd {index} {len(addresses)}".encode())
                with connection.makefile("rb") as lines:
                    # Something else may answer, such as a training that has not ended yet.
                    while (line := lines.readline(_LONGEST_LINE)).startswith(b"tfkd "):
                        missing = [int(one) for one in line[5:].split(b",") if one.strip()]
                        yield missing
                        if time.monotonic() > end:
                            return
        time.sleep(min(_PERIOD_S, left))
