"""How long each operator of a model file takes, measured on files of one operator each."""

import copy
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.bench.operators import operator_name, parse_model

__all__ = ["OperatorTime", "time_operators"]

# Timed calls of one operator: at least so many, and for no longer than so many seconds.
_CALLS = 5
_SECONDS = 0.03


@dataclass(frozen=True)
class OperatorTime:
    """All operators of one name in a file.

    Attributes:
        name: such as "CONV_2D".
        count: how many there are.
        ms: processor time of all of them together, per slice, in one thread; None if one of them
            cannot run alone, so that they are not timed.
        outside: how many of them XNNPACK does not take when each is alone; None where this LiteRT
            does not tell, or where they are not timed.
    """

    name: str
    count: int
    ms: float | None
    outside: int | None


def time_operators(
    path: str | Path, progress: Callable[[int, int, str], None] | None = None
) -> tuple[OperatorTime, ...]:
    """Return the time of each kind of operator, the slowest first; those not timed come last.

    LiteRT's Python package gives no profile, so each operator is cut out into a file of its own and
    timed there on noise (indices and shapes on zeros), in this process, in one
    thread and in processor time, which other processes disturb least.
    In the whole file the operators run a little faster or slower (caches, layouts, steps between
    XNNPACK and other kernels): the shares tell where the time goes, their sum is not the time of
    the file. Equal operators are timed once.

    Args:
        path: the `.tflite` file.
        progress: called with (operators done, operators in all, name).

    Raises:
        ContractError: the file is no LiteRT model.
        ImportError: ai-edge-litert is not installed.
    """
    model = parse_model(path)
    graph = model.subgraphs[0]
    folded = _of_constants(model)
    timed = [step for step in range(len(graph.operators)) if step not in folded.values()]
    known: dict[str, tuple[float | None, bool | None]] = {}
    milliseconds: dict[str, float | None] = {}
    counts: Counter[str] = Counter()
    outside: dict[str, int | None] = {}
    for done, step in enumerate(timed):
        operator = graph.operators[step]
        name = operator_name(model, operator)
        if progress is not None:
            progress(done, len(timed), name)
        key = _work(model, operator)
        if key not in known:
            known[key] = _time_alone(model, step, folded)
        ms, taken = known[key]
        before = milliseconds.get(name, 0.0)
        milliseconds[name] = None if ms is None or before is None else before + ms
        counts[name] += 1
        others = outside.get(name, 0)
        outside[name] = None if taken is None or others is None else others + (not taken)
    if progress is not None:
        progress(len(timed), len(timed), "")
    return tuple(
        OperatorTime(name, counts[name], ms, outside[name])
        for name, ms in sorted(milliseconds.items(), key=lambda item: -(item[1] or 0.0))
    )


def _is_constant(model: Any, index: int) -> bool:
    buffer = model.buffers[model.subgraphs[0].tensors[index].buffer]
    return buffer.data is not None and len(buffer.data) > 0


def _of_constants(model: Any) -> dict[int, int]:
    """Return tensor → operator for what is made of weights alone, as of a float16 file's.

    Such an operator is part of every one that uses its result: the runtime folds the two.
    """
    folded: dict[int, int] = {}
    for step, operator in enumerate(model.subgraphs[0].operators):
        inputs = [index for index in operator.inputs if index >= 0]
        if inputs and all(_is_constant(model, index) or index in folded for index in inputs):
            folded |= {index: step for index in operator.outputs}
    return folded


def _work(model: Any, operator: Any) -> str:
    """Return a text that is equal for operators that take equally long."""
    tensors = model.subgraphs[0].tensors
    options = getattr(operator.builtinOptions, "__dict__", None)
    sides = [
        [
            (tensors[index].type, *np.ravel(tensors[index].shape)) if index >= 0 else None
            for index in side
        ]
        for side in (operator.inputs, operator.outputs)
    ]
    return repr((operator.opcodeIndex, options, sides))


def _alone(model: Any, step: int, folded: dict[int, int]) -> bytes:
    """Return a model file of one operator, with what it needs of constants."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    steps = {step}
    wanted = list(graph.operators[step].inputs)
    while wanted:
        index = wanted.pop()
        if index in folded and folded[index] not in steps:
            steps.add(folded[index])
            wanted += list(graph.operators[folded[index]].inputs)
    operators = [copy.copy(graph.operators[one]) for one in sorted(steps)]
    used = dict.fromkeys(
        int(index)
        for operator in operators
        for index in (*operator.inputs, *operator.outputs)
        if index >= 0
    )
    number = {index: new for new, index in enumerate(used)}
    small = copy.copy(model)
    small.buffers = [schema.BufferT()]
    tensors = []
    for index in used:
        tensor = copy.copy(graph.tensors[index])
        tensor.buffer = 0
        if _is_constant(model, index):
            small.buffers.append(model.buffers[graph.tensors[index].buffer])
            tensor.buffer = len(small.buffers) - 1
        tensors.append(tensor)
    for operator in operators:
        operator.inputs = [number.get(int(index), -1) for index in operator.inputs]
        operator.outputs = [number[int(index)] for index in operator.outputs]
    last = graph.operators[step]
    alone = schema.SubGraphT()
    alone.tensors, alone.operators = tensors, operators
    alone.inputs = [
        number[index]
        for index in dict.fromkeys(int(index) for index in last.inputs if index >= 0)
        if index not in folded and not _is_constant(model, index)
    ]
    alone.outputs = [number[int(index)] for index in last.outputs]
    small.subgraphs = [alone]
    small.signatureDefs, small.metadata, small.metadataBuffer = [], [], []
    builder = flatbuffers.Builder(1024)
    builder.Finish(small.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _time_alone(model: Any, step: int, folded: dict[int, int]) -> tuple[float | None, bool | None]:
    """Return what `_time` does, and (None, None) of an operator that cannot run by itself."""
    try:
        return _time(_alone(model, step, folded))
    except (ValueError, RuntimeError, KeyError, TypeError):
        # As of control flow, whose branches are other graphs, of custom operators, of variables,
        # or where noise is no valid input. The other operators' times are worth having.
        return None, None


def _time(content: bytes) -> tuple[float, bool | None]:
    """Return (milliseconds of the fastest call, whether XNNPACK takes the operator)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    generator = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = generator.uniform(-1, 1, detail["shape"])
        if detail["dtype"] in (np.int32, np.int64, np.bool_):
            # Shapes, axes and indices, for which noise may point outside.
            values = np.zeros(detail["shape"])
        elif not np.issubdtype(detail["dtype"], np.floating):
            values = np.rint(100 * values)
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    # Not part of LiteRT's public interface.
    list_nodes = getattr(interpreter, "_get_ops_details", None)
    taken = list_nodes and any(node["op_name"] == "DELEGATE" for node in list_nodes())
    interpreter.invoke()
    calls, total, fastest = 0, 0.0, np.inf
    while calls < _CALLS or total < _SECONDS:
        start = time.thread_time()
        interpreter.invoke()
        seconds = time.thread_time() - start
        calls, total, fastest = calls + 1, total + seconds, min(fastest, seconds)
    return 1000 * float(fastest), taken
