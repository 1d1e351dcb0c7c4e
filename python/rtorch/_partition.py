"""Graphs with ops that rtorch cannot compile: which nodes run natively, which in PyTorch."""

import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx.passes.split_module import split_module

from . import _native
from ._compile import CompiledGraph
from ._errors import CompileError, UnsupportedOpError
from ._graph import GraphError, value_of
from ._options import Options
from ._report import Fallback, GraphReport

_SUPPORTED_DTYPES = {
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
}


# Splitting a graph renames its nodes, and keeps their meta: which node of the whole it is.
_ORIGIN = "rtorch_origin"


class FallbackWarning(UserWarning):
    """Ops of a compiled model run in eager PyTorch."""


def compile_module(
    module: fx.GraphModule, kind: str, options: Options, report: GraphReport
) -> Callable[..., Any]:
    """A function like `module`, native as far as possible, and the report filled in.

    With fallback "error", UnsupportedOpError lists what is not.
    """
    begin = time.perf_counter()
    for node in module.graph.nodes:
        if node.op.startswith("call_"):
            node.meta[_ORIGIN] = node
    reasons = _unsupported(module)
    while True:
        if reasons and options.fallback == "error":
            raise UnsupportedOpError("RT_COMPILE", _refusal(reasons))
        try:
            with unset_fake_temporarily():  # constants of the graph are real
                compiled = _build(module, kind, options, reasons, report)
            break
        except _Refused as refused:
            if refused.nodes.keys() <= reasons.keys():
                raise refused.error from None
            reasons |= refused.nodes
    report.seconds = time.perf_counter() - begin
    report.fallbacks = _fallbacks(reasons)
    return compiled


def warn_of(report: GraphReport) -> None:
    """One warning that lists the ops of the graph that run in eager PyTorch."""
    if report.fallbacks:
        listed = "\n  ".join(map(str, report.fallbacks))
        warnings.warn(
            f"rtorch runs {report.eager_nodes} of {report.nodes} nodes of the {report.kind} "
            f"graph in eager PyTorch:\n  {listed}",
            FallbackWarning,
            stacklevel=2,
        )


class _Refused(Exception):
    """Nodes that the compiler names as the reason that it refuses a graph."""

    def __init__(self, nodes: dict[fx.Node, str], error: Exception):
        super().__init__(str(error))
        self.nodes, self.error = nodes, error


# --- what is supported ----------------------------------------------------------


def _unsupported(module: fx.GraphModule) -> dict[fx.Node, str]:
    supported = set(_native.supported_ops())
    reasons = {}
    for node in module.graph.nodes:
        if node.op in ("call_function", "call_module", "call_method") and (
            reason := _why_not(node, supported)
        ):
            reasons[node] = reason
    return reasons


def _why_not(node: fx.Node, supported: set[str]) -> str:
    if node.op != "call_function":
        return "no call of an ATen op"
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        return "a higher-order op"
    if isinstance(node.target, torch._ops.OpOverload):
        name = str(node.target)
        in_place = name.replace("_.", ".", 1)
        is_number = not isinstance(value_of(node), torch.Tensor | tuple | list)
        known = name in supported or in_place in supported or name == "aten.copy_.default"
        if not known and not (is_number and name.startswith("aten.sym_")):
            return "not supported"
    for value in [value_of(node), *(value_of(n) for n in node.all_input_nodes)]:
        for tensor in value if isinstance(value, tuple | list) else [value]:
            if isinstance(tensor, torch.Tensor) and (reason := _why_not_tensor(tensor)):
                return reason
    return ""


def _why_not_tensor(tensor: torch.Tensor) -> str:
    if tensor.dtype not in _SUPPORTED_DTYPES:
        return f"dtype {str(tensor.dtype).removeprefix('torch.')} is not supported"
    if tensor.device.type != "cpu":
        return f"device {tensor.device.type} is not supported"
    if tensor.layout != torch.strided:
        return f"layout {tensor.layout} is not supported"
    return ""


def _is_free(node: fx.Node) -> bool:
    """Nodes that compute nothing: parts of lists, views, arithmetic of sizes."""
    if node.op != "call_function":
        return True
    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    returns = node.target._schema.returns
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
    return is_view or not isinstance(value_of(node), torch.Tensor | tuple | list)


# --- parts ------------------------------------------------------------------------


def _build(
    module: fx.GraphModule,
    kind: str,
    options: Options,
    reasons: dict[fx.Node, str],
    report: GraphReport,
) -> Callable[..., Any]:
    calls = [n for n in module.graph.nodes if n.op.startswith("call_")]
    report.nodes, report.partitions = len(calls), []
    if not any(not _is_free(node) for node in calls if node not in reasons):
        report.native_nodes, report.eager_nodes = 0, len(calls)
        return module
    if not reasons:
        report.native_nodes, report.eager_nodes = len(calls), 0
        return _compile_part(module, kind, options, report)
    return _split(module, kind, options, reasons, report)


def _compile_part(
    part: fx.GraphModule, name: str, options: Options, report: GraphReport
) -> CompiledGraph:
    origins = {n.name: n.meta[_ORIGIN] for n in part.graph.nodes if _ORIGIN in n.meta}
    try:
        compiled = CompiledGraph(part, name, options, relayout=True)
    except GraphError as error:
        origin = origins.get(error.node.name)
        raise _Refused({origin: str(error)} if origin else {}, error) from error
    except CompileError as error:
        named = re.findall(r"'([A-Za-z_]\w*)'", error.message)
        nodes = {origins[n]: _said_of(n, error.message) for n in named if n in origins}
        raise _Refused(nodes, error) from error
    report.partitions.append(compiled)
    return compiled


def _said_of(name: str, message: str) -> str:
    """Why the compiler refuses a node: the line that names it, without the list of nodes."""
    line = next(line.strip() for line in message.splitlines() if f"'{name}'" in line)
    listed = re.match(r"(?P<op>\S+)( \((?P<why>.*)\))?, \d+ times?: ", line)
    return (listed["why"] or "not supported") if listed else line


def _split(
    module: fx.GraphModule,
    kind: str,
    options: Options,
    reasons: dict[fx.Node, str],
    report: GraphReport,
) -> fx.GraphModule:
    order, parts = _schedule(module.graph, reasons)
    ordered, copies = _reordered(module, order)
    numbers = {copies[node]: number for node, number in parts.items()}
    split = split_module(ordered, ordered, lambda node: numbers[node], keep_original_order=True)
    native, eager = 0, 0
    for name, part in list(split.named_children()):
        if not name.startswith("submod_"):
            continue
        calls = [n for n in part.graph.nodes if n.op.startswith("call_")]
        is_native = int(name.removeprefix("submod_")) % 2 == 0
        if not is_native or all(map(_is_free, calls)):
            eager += len(calls)
            continue
        native += len(calls)
        compiled = _compile_part(part, f"{kind}_{name}", options, report)
        setattr(split, name, _Part(compiled))
    report.native_nodes, report.eager_nodes = native, eager
    split.recompile()
    return split


class _Part(torch.nn.Module):
    def __init__(self, compiled: CompiledGraph):
        super().__init__()
        self.compiled = compiled

    def forward(self, *args: Any) -> Any:
        return self.compiled(*args)


def _schedule(
    graph: fx.Graph, reasons: dict[fx.Node, str]
) -> tuple[list[fx.Node], dict[fx.Node, int]]:
    """An order with few changes between native and eager nodes, and the part of each:
    even numbers run natively. Parts of a list stay with it, and what writes to a tensor
    stays behind and before the other uses of it.
    """
    nodes = [n for n in graph.nodes if n.op.startswith("call_")]
    needs = _dependencies(graph, nodes)
    users: dict[fx.Node, list[fx.Node]] = defaultdict(list)
    for node, inputs in needs.items():
        for each in inputs:
            users[each].append(node)
    missing = {node: len(inputs) for node, inputs in needs.items()}
    ready: tuple[list[fx.Node], list[fx.Node]] = ([], [])
    side = {node: int(_runs_eager(node, reasons)) for node in nodes}
    for node in nodes:
        if not missing[node]:
            ready[side[node]].append(node)
    order: list[fx.Node] = []
    parts: dict[fx.Node, int] = {}
    number = 0
    while len(order) < len(nodes):
        if not ready[number % 2]:
            number += 1
        node = ready[number % 2].pop(0)
        order.append(node)
        parts[node] = number
        for user in users[node]:
            missing[user] -= 1
            if not missing[user]:
                ready[side[user]].append(user)
    return order, parts


def _runs_eager(node: fx.Node, reasons: dict[fx.Node, str]) -> bool:
    while getattr(node.target, "__name__", "") == "getitem" and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node in reasons


def _dependencies(graph: fx.Graph, nodes: list[fx.Node]) -> dict[fx.Node, set[fx.Node]]:
    known = set(nodes)
    needs = {node: {n for n in node.all_input_nodes if n in known} for node in nodes}
    seen: list[fx.Node] = []
    barrier: fx.Node | None = None
    for node in nodes:
        if barrier is not None:
            needs[node].add(barrier)
        if _writes(node):
            needs[node] |= set(seen)
            barrier, seen = node, []
        seen.append(node)
    return needs


def _writes(node: fx.Node) -> bool:
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target._schema.is_mutable
    return isinstance(node.target, torch._ops.HigherOrderOperator)


def _reordered(
    module: fx.GraphModule, order: list[fx.Node]
) -> tuple[fx.GraphModule, dict[fx.Node, fx.Node]]:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    others = [n for n in module.graph.nodes if n.op in ("placeholder", "get_attr")]
    [output] = [n for n in module.graph.nodes if n.op == "output"]
    for node in [*others, *order, output]:
        copies[node] = graph.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(module, graph), copies


# --- what is said of it -----------------------------------------------------------


def _op_name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_function" else f"{node.op} {node.target}"


def _place(node: fx.Node) -> str:
    trace = node.meta.get("stack_trace")
    found = re.findall(r'File "([^"]+)", line (\d+)', trace) if isinstance(trace, str) else []
    return f"{found[-1][0]}:{found[-1][1]}" if found else f"node '{node.name}'"


def _fallbacks(reasons: dict[fx.Node, str]) -> list[Fallback]:
    found: dict[tuple[str, str], Fallback] = {}
    for node, reason in reasons.items():
        name = _op_name(node)
        each = found.setdefault((name, reason), Fallback(name, 0, [], reason))
        each.count += 1
        if _place(node) not in each.places:
            each.places.append(_place(node))
    return list(found.values())


def _refusal(reasons: dict[fx.Node, str]) -> str:
    listed = "\n  ".join(map(str, _fallbacks(reasons)))
    return f"the graph needs what is not supported, and fallback is 'error':\n  {listed}"
