"""A scalar program: straight-line code without branches, as arrays, for the printers.

Node k computes `ops[k]` from nodes `operands[k]` (all before it), or is a constant, or reads element
`operands[k, 1]` of input group number `operands[k, 0]`. Input groups and output groups have names.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qspx.integrate.graph import Graph
from qspx.integrate.operations import ARITY, NUMPY, Functions, Op


@dataclass(frozen=True, eq=False)
class Program:
    """Straight-line scalar code. Equal content is equal and hashes alike.

    Attributes:
        ops: operation codes (`Op`), shape (nodes,), int16.
        operands: operand nodes, -1 where there is none, shape (nodes, 3), int32. Of an INPUT: (group, position, -1).
        constants: values of the CONST nodes, else 0, shape (nodes,), float64.
        inputs: size of each input group that is read, by name; the order is that of the group numbers.
        outputs: nodes of each output group, by name.
    """

    ops: np.ndarray
    operands: np.ndarray
    constants: np.ndarray
    inputs: Mapping[str, int]
    outputs: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(
        cls,
        graph: Graph,
        inputs: Mapping[str, int],
        outputs: Mapping[str, Sequence[int]],
        given: Mapping[int, tuple[str, int]] | None = None,
    ) -> Program:
        """The part of `graph` that `outputs` need.

        Args:
            graph: where the nodes are.
            inputs: name and size of the input groups there are; those that nothing reads are left out.
            outputs: nodes of the graph by output group.
            given: nodes that are not computed but read: {node: (input group, position)}.
        """
        given = given or {}
        kept = graph.reachable((k for group in outputs.values() for k in group), given)
        number = {k: i for i, k in enumerate(kept)}
        place = {
            k: given[k] if k in given else _named(graph, k) for k in kept if k in given or graph.ops[k] is Op.INPUT
        }
        read = {group for group, _ in place.values()}
        groups = [name for name in inputs if name in read]
        for group, position in place.values():
            if not position < inputs.get(group, 0):
                raise ValueError(
                    f"Argument `inputs` must hold every input that is read, but `{group}[{position}]` is not there."
                )
        operands = np.full((len(kept), 3), -1, dtype=np.int32)
        ops = np.empty(len(kept), dtype=np.int16)
        for i, k in enumerate(kept):
            if k in place:
                ops[i], operands[i, :2] = Op.INPUT, (groups.index(place[k][0]), place[k][1])
            else:
                ops[i] = graph.ops[k]
                operands[i, : len(graph.operands[k])] = [number[j] for j in graph.operands[k]]
        constants = np.array([graph.constants[k] for k in kept], dtype=float)
        return cls(
            ops,
            operands,
            constants,
            {name: inputs[name] for name in groups},
            {name: tuple(number[k] for k in nodes) for name, nodes in outputs.items()},
        )

    # running --------------------------------------------------------------------------------------------------------

    def evaluate(self, inputs: Mapping[str, Any], functions: Functions) -> dict[str, list[Any]]:
        """Outputs by group, as lists of scalars (or whatever `functions` make of the inputs, which are indexed)."""
        groups = [inputs[name] for name in self.inputs]
        values: list[Any] = []
        for k, code in enumerate(self.ops):
            op = Op(code)
            if op is Op.CONST:
                values.append(float(self.constants[k]))
            elif op is Op.INPUT:
                values.append(groups[self.operands[k, 0]][self.operands[k, 1]])
            else:
                values.append(functions[op](*(values[j] for j in self.operands[k, : ARITY[op]])))
        return {name: [values[k] for k in nodes] for name, nodes in self.outputs.items()}

    def evaluate_numpy(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs by group, shape (size of the group, ...), from input groups of shape (size, ...).

        The trailing dimensions are those of a batch; they broadcast. For tests and for reading a program.
        """
        arrays = {name: np.asarray(value, dtype=float) for name, value in inputs.items()}
        with np.errstate(all="ignore"):
            found = self.evaluate(arrays, NUMPY)
        shape = np.broadcast_shapes(*(a.shape[1:] for a in arrays.values()))
        return {
            name: np.array([np.broadcast_to(v, shape) for v in values], dtype=float).reshape(len(values), *shape)
            for name, values in found.items()
        }

    # looking --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.ops)

    @property
    def operations(self) -> int:
        """Number of nodes that compute something."""
        return int(np.sum((self.ops != Op.CONST) & (self.ops != Op.INPUT)))

    def counts(self) -> dict[str, int]:
        """Number of nodes by operation."""
        codes, numbers = np.unique(self.ops, return_counts=True)
        return {Op(code).name: int(n) for code, n in zip(codes, numbers, strict=True)}

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the content."""
        hashed = hashlib.sha256(repr((sorted(self.inputs.items()), list(self.inputs), self.outputs)).encode())
        for array in (self.ops, self.operands, self.constants):
            hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.digest == other.digest

    def __str__(self) -> str:
        """One line per node, `%12 = mul %3 %7`."""
        groups = list(self.inputs)
        lines = []
        for k, code in enumerate(self.ops):
            op, operands = Op(code), self.operands[k]
            shown = f"{op.name.lower()} " + " ".join(f"%{j}" for j in operands if j >= 0)
            if op is Op.CONST:
                shown = repr(float(self.constants[k]))
            elif op is Op.INPUT:
                shown = f"{groups[operands[0]]}[{operands[1]}]"
            lines.append(f"%{k} = {shown}")
        ends = [f"{name}: " + " ".join(f"%{k}" for k in nodes) for name, nodes in self.outputs.items()]
        return "\n".join(lines + ends)


def _named(graph: Graph, k: int) -> tuple[str, int]:
    group, position = graph.operands[k]
    return graph.groups[group], position


def frontier(graph: Graph, roots: Iterable[int], known: Sequence[bool] | None = None) -> list[int]:
    """The nodes that are `known` (default: depend on parameters alone) and are read by one that is not, or are roots:
    what to compute once for all. Inputs, constants and truth values are left out; a truth value is found again from its
    operands."""
    flags = graph.fixed if known is None else known
    kept_values = frozenset(k for k in range(len(graph)) if flags[k] and not graph.is_boolean(k))
    kept = graph.reachable(roots, kept_values)
    return [k for k in kept if k in kept_values and graph.ops[k] not in (Op.CONST, Op.INPUT)]


def copied(g: Graph, program: Program, read: dict[tuple[str, int], int]) -> dict[str, list[int]]:
    """The outputs of a program as nodes of `g`; `read` learns which inputs there are."""

    class Reader:
        def __init__(self, group: str):
            self.group = group

        def __getitem__(self, position: int | np.integer) -> int:
            place = (self.group, int(position))
            read[place] = g.input(*place)
            return read[place]

    def lifted(op: Op):
        return lambda *args: g.node(op, *(g.constant(a) if isinstance(a, float) else a for a in args))

    found = program.evaluate({name: Reader(name) for name in program.inputs}, {op: lifted(op) for op in Op})
    return {k: [g.constant(v) if isinstance(v, float) else v for v in nodes] for k, nodes in found.items()}


def input_sizes(g: Graph) -> dict[str, int]:
    """Of the input groups, large enough for every input of the graph."""
    sizes: dict[str, int] = {}
    for op, operands in zip(g.ops, g.operands, strict=True):
        if op is Op.INPUT:
            name = g.groups[operands[0]]
            sizes[name] = max(sizes.get(name, 0), operands[1] + 1)
    return sizes
