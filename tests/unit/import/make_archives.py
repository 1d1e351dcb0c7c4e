"""Exports small modules as .pt2 archives for the import tests.

    python make_archives.py FOLDER

writes, for each module and both dialects, NAME.pt2 and NAME.txt. The text says what
PyTorch itself holds for every value, argument and payload; DumpProgram.cpp prints the
same from what it read in the archive. Sizes that are symbolic are printed as their values
at two points, so that the text does not depend on how an expression is written.
"""

import operator
import pathlib
import sys
import warnings
import zlib

import sympy
import torch
from torch import nn
from torch.export import Dim
from torch.export.graph_signature import ConstantArgument


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 10)
        self.fc2 = nn.Linear(10, 4)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x, mask):
        batch, length, width = x.shape
        y = self.fc(x).reshape(batch * length, width)
        y = y.view(batch, length, 2, width // 2).transpose(1, 2)
        half = x[:, : length // 2]
        return y, half, torch.cat([x, x], 1), y.masked_fill(mask[:, None, :, None], -1.5)


class SharedWeights(nn.Module):
    """Tied parameters, and two that lie in one storage, one with an offset."""

    def __init__(self):
        super().__init__()
        storage = torch.arange(60.0)
        self.low = nn.Parameter(storage[:36].view(6, 6))
        self.high = nn.Parameter(storage[12:60].view(6, 8))
        self.turned = nn.Parameter(torch.randn(6, 8).t())
        self.embed = nn.Embedding(7, 8)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        y = x @ self.low @ self.high @ self.turned @ self.high
        return self.head(y + self.embed(torch.tensor([1, 2, 3, 4])))


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(3))
        self.register_buffer("scale", torch.tensor(2.5), persistent=False)
        self.register_buffer("nothing", torch.zeros(0, 3))

    def forward(self, x):
        self.steps.add_(1)
        x[0].mul_(2)
        return torch.cat([x * self.scale + self.steps, self.nothing])


class Containers(nn.Module):
    def forward(self, d, items, flag: bool, factor: float, none, count: int):
        y = d["b"] * factor + d["a"] + items[0] - items[1]
        return {"sum": y, "list": [y.sum(), 7, None, flag], "again": y}, d["a"], count


class SymIntInput(nn.Module):
    def forward(self, x, n: int):
        return x.new_zeros(n, 3) + x[0], n + 2, n * 3, n / 2


class Constants(nn.Module):
    def forward(self, x, indices):
        y = x.masked_fill(x > 0, float("-inf")) + torch.full_like(x, float("nan"))
        z = x[:, None, indices]
        z[:, :, 0] = 1.0
        values, _ = torch.topk(x, 2)
        big = x[:, 1:9223372036854775807]
        return y, z, values, big, x.to(torch.float64), torch.split(x, [1, 2, 3], 1)[1]


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        x = x.to(memory_format=torch.channels_last)
        return self.pool(torch.nn.functional.gelu(self.norm(self.conv(x)))).contiguous()


class Attention(nn.Module):
    def forward(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


class NoGrad(nn.Module):
    """Its body becomes a sub-graph of a higher-order op."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            y = self.fc(x) + 1
        return y * 2


class DataDependent(nn.Module):
    def forward(self, x):
        n = x.sum().to(torch.int64).item()
        torch._check(n >= 1)
        torch._check(n <= 100)
        return torch.ones(n), x.float() * n


def cases():
    batch, length = Dim("batch", min=2, max=64), 2 * Dim("half", min=3, max=256)
    x3 = torch.randn(3, 8, 6)
    yield "mlp", Mlp(), (torch.randn(5, 6),), None
    yield (
        "dynamic",
        Dynamic(),
        (x3, torch.rand(3, 8) > 0.5),
        {"x": {0: batch, 1: length}, "mask": {0: batch, 1: length}},
    )
    yield "derived", Derived(), (torch.randn(9, 3), torch.randn(8, 3)), derived_dims()
    yield "shared", SharedWeights(), (torch.randn(4, 6),), None
    yield "buffers", Buffers(), (torch.randn(2, 3),), None
    yield (
        "containers",
        Containers(),
        (
            {"b": torch.randn(2, 2), "a": torch.randn(2, 2)},
            [torch.randn(2), torch.randn(2, 1)],
            True,
            0.5,
            None,
            3,
        ),
        None,
    )
    yield "symint", SymIntInput(), (torch.randn(5, 3), 3), (None, Dim.DYNAMIC)
    yield "constants", Constants(), (torch.randn(3, 6), torch.tensor([0, 2, 1])), None
    yield "convolution", Convolution().eval(), (torch.randn(2, 4, 8, 8),), None
    qkv = tuple(torch.randn(2, 3, 5, 4) for _ in range(3))
    yield "attention", Attention(), qkv, None
    yield "nograd", NoGrad(), (torch.randn(2, 4),), None
    yield "data", DataDependent(), (torch.tensor([2, 3]),), None


class Derived(nn.Module):
    def forward(self, x, y):
        return x[1:] + y


def derived_dims():
    n = Dim("n", min=3, max=100)
    return {"x": {0: n + 1}, "y": {0: n}}


class Dump:
    """The text of one exported program."""

    def __init__(self, program, dialect):
        self.program = program
        self.lines = [f"program {dialect}"]
        self.ranges, self.hints = {}, {}
        for node in program.graph.nodes:
            self.collect(node.meta.get("val"))
        for symbol, bounds in program.range_constraints.items():
            self.ranges[str(symbol)] = (bounds.lower, bounds.upper)
        base = {name: self.hints.get(name, 5) for name in self.ranges}
        self.points = [base, {name: value * 3 + 1 for name, value in base.items()}]

    def collect(self, value):
        if isinstance(value, torch.Tensor):
            offset = value.storage_offset()
            for item in (*value.shape, *value.stride(), offset):
                self.collect(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.collect(item)
        elif isinstance(value, torch.SymInt):
            expr = value.node.expr
            for symbol in expr.free_symbols:
                least = 1 if symbol.is_positive else -sympy.oo
                self.ranges.setdefault(str(symbol), (least, sympy.oo))
            if expr.is_symbol and value.node.has_hint():
                self.hints[str(expr)] = value.node.hint

    def expr(self, value):
        if not isinstance(value, torch.SymInt):
            return str(int(value))
        expr = value.node.expr
        if not expr.free_symbols:
            return str(int(expr))
        shown = "<"
        for point in self.points:
            by_symbol = {s: sympy.Integer(point[str(s)]) for s in expr.free_symbols}
            shown += f"{int(expr.subs(by_symbol))},"
        return shown + ">"

    def exprs(self, values):
        return "[" + ", ".join(self.expr(value) for value in values) + "]"

    def meta(self, tensor):
        return (
            f"{str(tensor.dtype)[6:]} {self.exprs(tensor.shape)} "
            f"{self.exprs(tensor.stride())} {self.expr(tensor.storage_offset())}"
        )

    def value(self, name, value):
        if isinstance(value, torch.Tensor):
            return f"%{name}: {self.meta(value)}"
        if isinstance(value, torch.SymInt):
            return f"%{name}: int {self.expr(value)}"
        return f"%{name}: {'float' if isinstance(value, torch.SymFloat) else 'bool'}"

    def argument(self, value, is_float=False):
        if isinstance(value, torch.fx.Node):
            return "%" + value.name
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(self.argument(v, is_float) for v in value) + "]"
        if isinstance(value, float) or (is_float and type(value) is int):
            return f"f{float(value):.17g}"
        if isinstance(value, str):
            return f"'{value}'"
        if isinstance(value, torch.device):
            return value.type
        if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
            return str(value).removeprefix("torch.")
        return str(value)

    def arguments(self, node):
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return "".join(
                f" {name}={self.argument(value)}"
                for name, value in zip("ab", node.args, strict=False)
            )
        shown = ""
        for i, formal in enumerate(schema.arguments):
            if formal.name in node.kwargs:
                value = node.kwargs[formal.name]
            elif i < len(node.args):
                value = node.args[i]
            else:
                value = formal.default_value
                if formal.name == "memory_format" and value == 0:
                    value = torch.contiguous_format  # written as c10's number
            is_float = "float" in str(formal.real_type)
            shown += f" {formal.name}={self.argument(value, is_float)}"
        return shown

    def results(self, node):
        value = node.meta.get("val")
        if not isinstance(value, (list, tuple)):
            return [(node.name, value)]
        names = [f"{node.name}_unused_{i}" for i in range(len(value))]
        for user in node.users:
            if user.target is operator.getitem:
                names[user.args[1]] = user.name
        return list(zip(names, value, strict=True))

    def node(self, node):
        target = node.target
        if isinstance(target, torch._ops.OpOverload):
            op = str(target)
        else:
            op = f"{target.__module__}.{target.__name__}"
        self.lines.append(f"node {node.name} {op}{self.arguments(node)}")
        for name, value in self.results(node):
            if value is not None:
                self.lines.append(f"  -> {self.value(name, value)}")

    def inputs(self):
        placeholders = {n.name: n.meta["val"] for n in self.program.graph.nodes
                        if n.op == "placeholder"}  # fmt: skip
        groups = {}
        for spec in self.program.graph_signature.input_specs:
            target = spec.target or ""
            if isinstance(spec.arg, ConstantArgument):
                shown = self.argument(spec.arg.value)
                self.lines.append(f"input CONSTANT_INPUT {spec.arg.name}  = {shown}")
                continue
            shown = self.value(spec.arg.name, placeholders[spec.arg.name])
            line = f"input {spec.kind.name} {spec.arg.name} {target} {shown}"
            if target:
                state = self.program.state_dict
                tensor = state[target] if target in state else self.program.constants[target]
                elements = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes() \
                    if tensor.dim() else tensor.detach().numpy().tobytes()  # fmt: skip
                storage = tensor.untyped_storage()
                # Empty storages have no address of their own.
                group = groups.setdefault(storage.data_ptr() or target, target)
                line += f" | {self.meta(tensor)} crc {zlib.crc32(elements):08x}"
                line += f" storage {group}"
            self.lines.append(line)

    def outputs(self):
        output = list(self.program.graph.nodes)[-1].args[0]
        specs = self.program.graph_signature.output_specs
        for spec, value in zip(specs, output, strict=True):
            shown = self.argument(value)
            self.lines.append(f"output {spec.kind.name} {shown} {spec.target or ''}")

    def text(self):
        for name, (lower, upper) in sorted(self.ranges.items()):
            hint = self.points[0][name]
            self.lines.append(f"symbol {bound(lower)}..{bound(upper)} hint {hint}")
        self.inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node.target is not operator.getitem:
                self.node(node)
        self.outputs()
        return "\n".join(self.lines) + "\n"


def bound(value):
    """A bound as an int64; sympy's and torch's own infinities have no int value."""
    infinities = {"oo": 2**63 - 1, "int_oo": 2**63 - 1, "-oo": -(2**63), "-int_oo": -(2**63)}
    return infinities.get(str(value)) or int(value)


def save(program, dialect, path):
    torch.export.save(program, path)
    # Sub-graphs are compared by tests of their own.
    if not any(node.op == "get_attr" for node in program.graph.nodes):
        path.with_suffix(".txt").write_text(Dump(program, dialect).text())


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, module, arguments, dims in cases():
        program = torch.export.export(module, arguments, dynamic_shapes=dims)
        save(program, "TRAINING", folder / f"{name}.pt2")
        save(program.run_decompositions(), "ATEN", folder / f"{name}_core.pt2")


if __name__ == "__main__":
    main()
