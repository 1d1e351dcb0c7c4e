"""An FX graph of ATen calls as the JSON that torch.export writes (schema 8), in memory.

PyTorch's own serializer takes only what torch.export makes; graphs from AOTAutograd have
outputs that are None, values without a user's name, and no signature. What is written here
is read by the same importer as an archive's model.json.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch import fx

_DTYPES = {
    torch.uint8: 1,
    torch.int8: 2,
    torch.int16: 3,
    torch.int32: 4,
    torch.int64: 5,
    torch.float16: 6,
    torch.float32: 7,
    torch.float64: 8,
    torch.complex32: 9,
    torch.complex64: 10,
    torch.complex128: 11,
    torch.bool: 12,
    torch.bfloat16: 13,
}
_MEMORY_FORMATS = {
    torch.contiguous_format: 1,
    torch.channels_last: 2,
    torch.channels_last_3d: 3,
    torch.preserve_format: 4,
}
_STRIDED = 7
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


class GraphError(Exception):
    """A node that the JSON has no form for; `node` is the FX node."""

    def __init__(self, node: fx.Node, message: str):
        super().__init__(f"{node.name}: {message}")
        self.node = node


@dataclass(frozen=True)
class Calling:
    """How a call of the compiled module relates to one of the FX graph."""

    inputs: list[int]
    """For each argument of the module: which placeholder it is."""
    outputs: list[Any]
    """The output of the graph, flattened: ("result", i), ("input", i) or ("value", v)."""
    single: bool
    """Whether the graph returns its one output without a tuple around it."""


@dataclass
class Serialized:
    """A graph as JSON, and how it is called."""

    program: dict[str, Any]
    """What an archive's models/model.json holds."""
    constants: dict[str, torch.Tensor]
    """Tensors that are part of the program, by name."""
    calling: Calling
    signature: list[str] = field(default_factory=list)
    """The module's arguments, for people: dtype, sizes and strides of each."""


def serialize(
    module: fx.GraphModule, known: Mapping[sympy.Symbol, int] | None = None
) -> Serialized:
    """The graph of `module`, whose nodes have `meta["val"]`, for the sizes that are `known`.

    GraphError names a node that has no form.
    """
    return _Writer(module, dict(known or {})).write()


def value_of(node: fx.Node) -> Any:
    """The fake tensor, symbol or number that a node stands for; None if it is unknown."""
    if "val" in node.meta:
        return node.meta["val"]
    return node.meta.get("example_value")


def _described(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"int {value}"
    dtype, sizes = str(value.dtype).removeprefix("torch."), list(value.size())
    strided = "" if value.is_contiguous() else f" strides {list(value.stride())}"
    return f"{dtype}{sizes}{strided}"


class _Writer:
    def __init__(self, module: fx.GraphModule, known: dict[sympy.Symbol, int]):
        self.module, self.known = module, known
        self.names: dict[fx.Node, str] = {}
        self.numbers: dict[fx.Node, Any] = {}  # placeholders that are plain numbers
        self.values: dict[str, dict[str, Any]] = {"tensor": {}, "int": {}, "float": {}, "bool": {}}
        self.inputs: list[dict[str, Any]] = []
        self.input_specs: list[dict[str, Any]] = []
        self.placeholders: list[fx.Node] = []
        self.arguments: list[int] = []
        self.signature: list[str] = []
        self.constants: dict[str, torch.Tensor] = {}
        self.symbols: set[sympy.Symbol] = set()
        self.shape_env: Any = None

    def write(self) -> Serialized:
        nodes: list[dict[str, Any]] = []
        outputs: list[tuple[str, Any]] = []
        single = False
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "get_attr":
                self._constant(node)
            elif node.op == "output":
                outputs = self._outputs(node)
                single = not isinstance(node.args[0], tuple | list)
            elif node.op == "call_function":
                if not _is_getitem(node):
                    nodes.append(self._call(node))
            else:
                raise GraphError(node, f"a {node.op} is no part of a graph of ATen calls")
        results = [entry for kind, entry in outputs if kind == "result"]
        program = self._program(nodes, results)
        count = iter(range(len(results)))
        plan = [(k, next(count) if k == "result" else v) for k, v in outputs]
        calling = Calling(self.arguments, plan, single)
        return Serialized(program, self.constants, calling, self.signature)

    # --- inputs ---------------------------------------------------------------

    def _placeholder(self, node: fx.Node) -> None:
        self.placeholders.append(node)
        value = self._known(value_of(node))
        if isinstance(value, torch.Tensor | torch.SymInt):
            argument = self._define(node, node.name, value)
            self.inputs.append(argument)
            self.input_specs.append({"user_input": {"arg": argument}})
            self.arguments.append(len(self.placeholders) - 1)
            self.signature.append(_described(value))
        elif value is None or isinstance(value, bool | int | float | str):
            self.numbers[node] = value
        else:
            raise GraphError(node, f"an input that is a {type(value).__name__}")

    def _constant(self, node: fx.Node) -> None:
        tensor = self.module
        for part in str(node.target).split("."):
            tensor = getattr(tensor, part)
        if not isinstance(tensor, torch.Tensor):
            raise GraphError(node, f"a constant that is a {type(tensor).__name__}")
        tensor = tensor.detach()
        self.constants[node.name] = tensor
        # The stored tensor is what counts; meta of a constant may be left out.
        argument = self._define(node, node.name, tensor)
        self.inputs.append(argument)
        self.input_specs.append(
            {"tensor_constant": {"arg": argument["as_tensor"], "tensor_constant_name": node.name}}
        )

    # --- outputs --------------------------------------------------------------

    def _outputs(self, node: fx.Node) -> list[tuple[str, Any]]:
        flat = torch.utils._pytree.tree_leaves(node.args[0], is_leaf=lambda x: x is None)
        plan: list[tuple[str, Any]] = []
        for value in flat:
            if not isinstance(value, fx.Node):
                plan.append(("value", value))
            elif value in self.numbers:
                plan.append(("value", self.numbers[value]))
            elif value.op == "placeholder":
                plan.append(("input", self.placeholders.index(value)))
            elif isinstance(value_of(value), torch.Tensor | torch.SymInt):
                plan.append(("result", self._argument(node, value)))
            else:
                raise GraphError(value, "an output that is neither a tensor nor an integer")
        return plan

    # --- calls ----------------------------------------------------------------

    def _call(self, node: fx.Node) -> dict[str, Any]:
        target = node.target
        if isinstance(target, torch._ops.OpOverload):
            name = f"torch.ops.{target.namespace}.{target._schema.name.split('::')[1]}"
            name += f".{target._overloadname}"
            inputs = self._schema_inputs(node, target._schema)
        elif _is_arithmetic(target):
            name = f"{target.__module__}.{target.__name__}"
            inputs = [
                {"name": "ab"[i] if i < 2 else "", "arg": self._argument(node, arg), "kind": 1}
                for i, arg in enumerate(node.args)
            ]
        else:
            raise GraphError(node, f"a call of {target}")
        return {
            "target": name,
            "inputs": inputs,
            "outputs": self._results(node),
            "metadata": _metadata(node),
            "name": node.name,
            "is_hop_single_tensor_return": None,
        }

    def _schema_inputs(self, node: fx.Node, schema: torch.FunctionSchema) -> list[dict[str, Any]]:
        result = []
        for i, argument in enumerate(schema.arguments):
            if i < len(node.args):
                value, kind = node.args[i], 1
            elif argument.name in node.kwargs:
                value, kind = node.kwargs[argument.name], 2
            else:
                continue
            encoded = self._argument(node, value, str(argument.real_type))
            result.append({"name": argument.name, "arg": encoded, "kind": kind})
        return result

    def _results(self, node: fx.Node) -> list[dict[str, Any]]:
        value = value_of(node)
        schema = getattr(node.target, "_schema", None)
        if schema is not None and not schema.returns:
            return []
        if not isinstance(value, tuple | list):
            if value is None:
                raise GraphError(node, "a value without a description")
            return [self._define(node, node.name, value)]
        users: dict[int, str] = {}
        for user in node.users:
            if _is_getitem(user):
                users.setdefault(user.args[1], user.name)
                self.names[user] = users[user.args[1]]
        elements = [
            {"as_none": True}
            if each is None
            else self._define(None, users.get(i, f"{node.name}_unused_{i}"), each)
            for i, each in enumerate(value)
        ]
        if isinstance(value, list) or (schema is not None and len(schema.returns) == 1):
            return [{"as_tensors": [each["as_tensor"] for each in elements]}]
        return elements

    # --- values ---------------------------------------------------------------

    def _define(self, node: fx.Node | None, name: str, value: Any) -> dict[str, Any]:
        if node is not None:
            self.names[node] = name
        if isinstance(value, torch.Tensor):
            self.values["tensor"][name] = self._tensor_meta(value)
            return {"as_tensor": {"name": name}}
        if isinstance(value, torch.SymBool | bool):
            self.values["bool"][name] = self._expression(value)
            return {"as_sym_bool": {"as_name": name}}
        if isinstance(value, torch.SymFloat | float):
            self.values["float"][name] = self._expression(value)
            return {"as_sym_float": {"as_name": name}}
        self.values["int"][name] = self._expression(value)
        return {"as_sym_int": {"as_name": name}}

    def _tensor_meta(self, tensor: torch.Tensor) -> dict[str, Any]:
        if tensor.layout != torch.strided:
            strides, offset = [], 0
        else:
            strides, offset = tensor.stride(), tensor.storage_offset()
        return {
            "dtype": _DTYPES.get(tensor.dtype, 0),
            "sizes": [self._expression(n) for n in tensor.size()],
            "strides": [self._expression(n) for n in strides],
            "storage_offset": self._expression(offset),
            "requires_grad": False,
            "device": {"type": tensor.device.type, "index": None},
            "layout": _STRIDED if tensor.layout == torch.strided else 0,
        }

    def _known(self, value: Any) -> Any:
        """The number of a symbolic integer whose symbols are all known."""
        if not self.known or not isinstance(value, torch.SymInt):
            return value
        expression = value.node.expr.subs(self.known)
        return int(expression) if expression.is_number else value

    def _expression(self, value: Any) -> dict[str, Any]:
        value = self._known(value)
        if isinstance(value, bool):
            return {"as_bool": value}
        if isinstance(value, int):
            return {"as_int": value}
        if isinstance(value, float):
            return {"as_float": _float(value)}
        expression = value.node.expr
        if expression.is_number and isinstance(value, torch.SymInt):
            return {"as_int": int(expression)}
        self.shape_env = self.shape_env or value.node.shape_env
        self.symbols |= expression.free_symbols
        hint = value.node.hint if value.node.has_hint() else None
        key = {torch.SymInt: "as_int", torch.SymFloat: "as_float"}.get(type(value), "as_bool")
        encoded = None if hint is None else {key: _float(hint) if key == "as_float" else hint}
        return {"as_expr": {"expr_str": sympy.srepr(expression), "hint": encoded}}

    def _argument(self, node: fx.Node, value: Any, schema: str = "") -> dict[str, Any]:
        if isinstance(value, fx.Node):
            if value in self.numbers:
                return self._argument(node, self.numbers[value], schema)
            return self._reference(node, value)
        if isinstance(value, list | tuple):
            return self._list(node, list(value), schema)
        if isinstance(value, _SYMBOLIC):
            raise GraphError(node, "a symbolic number that is no node")
        return _plain(node, value)

    def _reference(self, node: fx.Node, value: fx.Node) -> dict[str, Any]:
        if value not in self.names:
            raise GraphError(node, f"'{value.name}' is no value of the graph")
        name, meaning = self.names[value], value_of(value)
        if name in self.values["tensor"]:
            return {"as_tensor": {"name": name}}
        if isinstance(meaning, torch.SymBool | bool):
            return {"as_sym_bool": {"as_name": name}}
        if isinstance(meaning, torch.SymFloat | float):
            return {"as_sym_float": {"as_name": name}}
        return {"as_sym_int": {"as_name": name}}

    def _list(self, node: fx.Node, values: list[Any], schema: str) -> dict[str, Any]:
        if not values:
            return {"as_tensors": []} if "Tensor" in schema else {"as_ints": []}
        values = [self.numbers.get(v, v) if isinstance(v, fx.Node) else v for v in values]
        if "Optional[Tensor]" in schema and "List" in schema:
            return {"as_optional_tensors": [self._argument(node, v) for v in values]}
        if any(isinstance(v, fx.Node) for v in values):
            encoded = [self._argument(node, v) for v in values]
            if all("as_tensor" in each for each in encoded):
                return {"as_tensors": [each["as_tensor"] for each in encoded]}
            if any("as_tensor" in each for each in encoded):
                return {"as_optional_tensors": encoded}
            if any("as_sym_float" in each for each in encoded):
                raise GraphError(node, "a list of symbolic floats")
            return {"as_sym_ints": [each.get("as_sym_int", each) for each in encoded]}
        for kind, key in ((bool, "as_bools"), (int, "as_ints"), (str, "as_strings")):
            if all(isinstance(v, kind) for v in values):
                return {key: values}
        if all(isinstance(v, int | float) for v in values):
            return {"as_floats": [_float(float(v)) for v in values]}
        raise GraphError(node, f"a list of {sorted({type(v).__name__ for v in values})}")

    # --- the program ----------------------------------------------------------

    def _program(self, nodes: list[Any], results: Sequence[Any]) -> dict[str, Any]:
        return {
            "graph_module": {
                "graph": {
                    "inputs": self.inputs,
                    "outputs": list(results),
                    "nodes": nodes,
                    "tensor_values": self.values["tensor"],
                    "sym_int_values": self.values["int"],
                    "sym_float_values": self.values["float"],
                    "sym_bool_values": self.values["bool"],
                    "is_single_tensor_return": False,
                    "custom_obj_values": {},
                },
                "signature": {
                    "input_specs": self.input_specs,
                    "output_specs": [{"user_output": {"arg": each}} for each in results],
                },
                "module_call_graph": [],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": 10},
            "range_constraints": self._ranges(),
            "schema_version": {"major": 8, "minor": 20},
            "verifiers": ["TRAINING"],
            "torch_version": torch.__version__,
            "guards_code": [],
        }

    def _ranges(self) -> dict[str, Any]:
        ranges = {}
        for symbol in sorted(self.symbols, key=str):
            found = self.shape_env.var_to_range.get(symbol)
            low, high = (found.lower, found.upper) if found else (None, None)
            ranges[str(symbol)] = {"min_val": _limit(low), "max_val": _limit(high)}
        return ranges


def _limit(value: Any) -> int | None:
    if not isinstance(value, int | sympy.Integer) or abs(int(value)) >= 2**62:
        return None
    return int(value)


def _is_getitem(node: fx.Node) -> bool:
    if getattr(node.target, "__name__", "") != "getitem":
        return False
    return isinstance(node.args[0], fx.Node) and isinstance(value_of(node.args[0]), tuple | list)


def _is_arithmetic(target: Any) -> bool:
    module = getattr(target, "__module__", None)
    return module in ("_operator", "math", "torch") and hasattr(target, "__name__")


def _float(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _plain(node: fx.Node, value: Any) -> dict[str, Any]:
    if value is None:
        return {"as_none": True}
    if isinstance(value, bool):
        return {"as_bool": value}
    if isinstance(value, int):
        return {"as_int": value}
    if isinstance(value, float):
        return {"as_float": _float(value)}
    if isinstance(value, complex):
        return {"as_complex": {"real": value.real, "imag": value.imag}}
    if isinstance(value, str):
        return {"as_string": value}
    if isinstance(value, torch.dtype) and value in _DTYPES:
        return {"as_scalar_type": _DTYPES[value]}
    if isinstance(value, torch.memory_format):
        return {"as_memory_format": _MEMORY_FORMATS[value]}
    if isinstance(value, torch.layout):
        return {"as_layout": _STRIDED if value == torch.strided else 0}
    if isinstance(value, torch.device):
        return {"as_device": {"type": value.type, "index": value.index}}
    raise GraphError(node, f"an argument that is a {type(value).__name__}")


def _metadata(node: fx.Node) -> dict[str, str]:
    trace = node.meta.get("stack_trace")
    return {"stack_trace": trace} if isinstance(trace, str) else {}
