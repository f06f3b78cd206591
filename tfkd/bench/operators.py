"""What a LiteRT file is made of: its operators, which of them XNNPACK takes, and its memory."""

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import ContractError

__all__ = ["FileOperators", "operator_name", "parse_model", "read_operators"]


@dataclass(frozen=True)
class FileOperators:
    """The operators of a model file.

    Attributes:
        counts: operator → how often it is there, the commonest first.
        outside: operator → how often XNNPACK does not take it, so that LiteRT's own kernel runs;
            None where this LiteRT does not tell.
        live_bytes: most bytes of activations that are needed at one time, run in the file's order.
            A lower bound of the arena, to which scratch memory and packed weights are added.
    """

    counts: dict[str, int]
    outside: dict[str, int] | None
    live_bytes: int


def read_operators(path: str | Path) -> FileOperators:
    """Return the operators of a model file.

    Args:
        path: the `.tflite` file; its contract is not needed.

    Raises:
        ContractError: the file is no LiteRT model.
        ImportError: ai-edge-litert is not installed.
    """
    model = parse_model(path)
    names = Counter(
        operator_name(model, operator)
        for graph in model.subgraphs
        for operator in graph.operators or ()
    )
    return FileOperators(dict(names.most_common()), _outside(Path(path)), _live_bytes(model))


def parse_model(path: str | Path) -> Any:
    """Return the file as the `ModelT` of LiteRT's schema.

    Raises:
        ContractError: the file is no LiteRT model.
        ImportError: ai-edge-litert is not installed.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = Path(path).read_bytes()
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("its identifier is not that of a LiteRT file")
        return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    except (ValueError, IndexError, TypeError, AttributeError, MemoryError, struct.error) as error:
        raise ContractError(
            f"{path}: expected a LiteRT model file, received something else ({error}). Export it "
            "with tfkd.export.to_litert."
        ) from error


def operator_name(model: Any, operator: Any) -> str:
    """Return the name of one of the model's operators, such as "CONV_2D"; of a custom one its own.

    Args:
        model: as `parse_model` gives it.
        operator: of one of its graphs.
    """
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    # Files from before there were more than 127 operators hold the number elsewhere.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return code.customCode.decode() if code.customCode else "CUSTOM"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    return names.get(number, f"operator {number}")


def _outside(path: Path) -> dict[str, int] | None:
    """Return how many operators of each name are left outside of every delegate."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
    except AttributeError:  # not part of LiteRT's public interface
        return None
    except (ValueError, RuntimeError) as error:
        raise ContractError(
            f"{path}: expected a model that LiteRT can run with its builtin operators, received: "
            f"{error}. Export it with tfkd.export.to_litert."
        ) from error
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    producer = {index: node for node in own for index in _indices(node["outputs"])}
    taken: set[int] = set()
    for delegate in delegates:
        # The operators that were there before are still listed; those between the delegate's
        # outputs and its inputs are its own.
        given = set(_indices(delegate["inputs"]))
        wanted = _indices(delegate["outputs"])
        while wanted:
            node = producer.get(wanted.pop())
            if node is not None and node["index"] not in taken:
                taken.add(node["index"])
                wanted += [index for index in _indices(node["inputs"]) if index not in given]
    left = Counter(node["op_name"] for node in own if node["index"] not in taken)
    return dict(left.most_common())


def _indices(tensors: Any) -> list[int]:
    return [int(index) for index in tensors if index >= 0]


def _live_bytes(model: Any) -> int:
    """Return the peak of the sizes of activations that lie between their first and last use."""
    graph = model.subgraphs[0]
    operators = graph.operators or []
    last = len(operators)
    first_use: dict[int, int] = {index: 0 for index in graph.inputs}
    last_use: dict[int, int] = {index: last for index in graph.outputs}
    for step, operator in enumerate(operators):
        for index in _indices(operator.outputs):
            first_use.setdefault(index, step)
            last_use.setdefault(index, step)
        for index in _indices(operator.inputs):
            last_use[index] = max(step, last_use.get(index, 0))
    changes = np.zeros(last + 2, np.int64)
    for index, step in first_use.items():
        size = _tensor_bytes(graph.tensors[index])
        changes[step] += size
        changes[last_use.get(index, step) + 1] -= size
    return int(changes.cumsum().max())


def _tensor_bytes(tensor: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    types = schema.TensorType
    sizes = {types.FLOAT16: 2, types.INT16: 2, types.INT8: 1, types.UINT8: 1, types.BOOL: 1}
    sizes |= {types.INT64: 8, types.FLOAT64: 8}
    shape = [] if tensor.shape is None else tensor.shape
    return sizes.get(tensor.type, 4) * int(np.prod(shape))
