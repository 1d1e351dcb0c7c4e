"""Random ops of a graph as functions of seeds, which each call draws from torch's generator."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch._decomp import decomposition_table
from torch._prims_common import compute_elementwise_output_logical_to_physical_perm

from ._graph import value_of

aten = torch.ops.aten

_LIKE = {aten.rand_like, aten.randn_like, aten.randint_like}
_NORMAL = {aten.randn, aten.randn_like}
_INTEGERS = {aten.randint, aten.randint_like}
_RANDOM = {aten.rand, aten.rand_like} | _NORMAL | _INTEGERS
# Numbers below 1 stay so in these dtypes with so many bits.
_BITS = {torch.float16: 11, torch.bfloat16: 8}


def with_seeds(module: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The graph with one more placeholder, the seeds of its random ops, and their number.

    Each op gives the numbers of its own seed. A graph without such ops is returned as it is.
    """
    if not any(_is_random(node) for node in module.graph.nodes):
        return module, 0
    import torch._inductor.inductor_prims  # registers the ops; slow to import

    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    random = [node for node in module.graph.nodes if _is_random(node)]
    seeds: fx.Node | None = None
    for node in module.graph.nodes:
        if node.op != "placeholder" and seeds is None:
            seeds = graph.placeholder("rtorch_seeds")
            with random[0].meta["val"].fake_mode:
                seeds.meta["val"] = torch.empty(len(random), dtype=torch.int64)
        if seeds is not None and _is_random(node):
            emitter = _Emitter(graph, node, lambda n: copies[n])
            copies[node] = emitter.numbers(seeds, random.index(node))
        else:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(module, graph), len(random)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """What writes other random ops as uniform and normal numbers."""
    known = (
        *(aten.native_dropout.default, aten.exponential.default),
        *(aten.geometric.default, aten.cauchy.default, aten.log_normal.default),
    )
    table = {op: decomposition_table[op] for op in known}
    table[aten.bernoulli.p] = _bernoulli
    table[aten.bernoulli.Tensor] = lambda x, p, *, generator=None: _bernoulli(x, p)
    for overload in ("Tensor_float", "float_Tensor", "Tensor_Tensor", "float_float"):
        table[getattr(aten.normal, overload)] = _normal_of
    table[aten.normal_functional.default] = _normal
    table[aten.uniform.default] = _uniform
    table[aten.rrelu_with_noise_functional.default] = _rrelu
    return table


def _bernoulli(x: torch.Tensor, p: Any = 0.5, *, generator: Any = None) -> torch.Tensor:
    if generator is not None:
        return NotImplemented
    return (torch.rand_like(x, dtype=torch.float32) < p).to(x.dtype)


def _normal(
    x: torch.Tensor, mean: float = 0, std: float = 1, *, generator: Any = None
) -> torch.Tensor:
    if generator is not None:
        return NotImplemented
    return torch.randn_like(x) * std + mean


def _normal_of(
    mean: Any, std: Any = 1, size: Any = None, *, generator: Any = None, **kwargs: Any
) -> torch.Tensor:
    if generator is not None:
        return NotImplemented
    if size is None:
        tensors = [x for x in (mean, std) if isinstance(x, torch.Tensor)]
        size = torch.broadcast_shapes(*(x.shape for x in tensors))
        kwargs["dtype"] = torch.result_type(*tensors) if len(tensors) == 2 else tensors[0].dtype
    return torch.randn(size, **kwargs) * std + mean


def _uniform(
    x: torch.Tensor, low: float = 0, high: float = 1, *, generator: Any = None
) -> torch.Tensor:
    if generator is not None:
        return NotImplemented
    return torch.rand_like(x) * (high - low) + low


def _rrelu(
    x: torch.Tensor,
    noise: torch.Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    if generator is not None or not training:
        return NotImplemented
    slopes = torch.where(x <= 0, _uniform(noise, lower, upper), 1.0)
    return x * slopes, slopes


def draw(count: int) -> torch.Tensor:
    """Seeds for one call, from torch's default generator."""
    return torch.randint(-(2**63), 2**63 - 1, [count], dtype=torch.int64)


def _is_random(node: fx.Node) -> bool:
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    value = value_of(node)
    return (
        node.target.overloadpacket in _RANDOM
        and node.kwargs.get("generator") is None
        and isinstance(value, torch.Tensor)
        and value.device.type == "cpu"
        and not value.is_complex()
    )


class _Emitter:
    """Writes what stands for one random op."""

    def __init__(self, graph: fx.Graph, node: fx.Node, copy_of: Callable[[fx.Node], fx.Node]):
        self.graph, self.node, self.copy_of = graph, node, copy_of
        self.value: torch.Tensor = node.meta["val"]

    def numbers(self, seeds: fx.Node, index: int) -> fx.Node:
        """Random numbers in the order of memory that the op's result has."""
        order = list(compute_elementwise_output_logical_to_physical_perm(self.value)[0])
        sizes = self._sizes()
        sizes = [sizes[dim] for dim in order]
        prims = torch.ops.prims
        seed = self._call(prims.inductor_lookup_seed.default, seeds, index)
        packet = self.node.target.overloadpacket
        if packet in _INTEGERS:
            low, high = self._bounds()
            result = self._call(prims.inductor_randint.default, low, high, sizes, seed)
        else:
            mode = "randn" if packet in _NORMAL else "rand"
            result = self._call(prims.inductor_random.default, sizes, seed, mode)
        result = self._in_dtype(result, rounds_down=packet not in _NORMAL | _INTEGERS)
        if order != sorted(order):
            back = [order.index(dim) for dim in range(len(order))]
            result = self._call(aten.permute.default, result, back)
        return result

    def _in_dtype(self, result: fx.Node, *, rounds_down: bool) -> fx.Node:
        dtype = self.value.dtype
        if rounds_down and dtype in _BITS:
            steps = 2.0 ** _BITS[dtype]
            scaled = self._call(aten.mul.Tensor, result, steps)
            floor = self._call(aten.floor.default, scaled)
            result = self._call(aten.mul.Tensor, floor, 1 / steps)
        if result.meta["val"].dtype == dtype:
            return result
        return self._call(aten._to_copy.default, result, dtype=dtype)

    def _bounds(self) -> tuple[Any, Any]:
        names = [argument.name for argument in self.node.target._schema.arguments]
        given = dict(zip(names, self.node.args, strict=False)) | dict(self.node.kwargs)
        bounds = [given.get("low", 0), given["high"]]
        low, high = (self.copy_of(x) if isinstance(x, fx.Node) else x for x in bounds)
        return low, high

    def _sizes(self) -> list[Any]:
        """Numbers, and nodes that give numbers."""
        if self.node.target.overloadpacket in _LIKE:
            source = self.copy_of(self.node.args[0])
            return [
                self._call(aten.sym_size.int, source, dim) if isinstance(n, torch.SymInt) else n
                for dim, n in enumerate(self.value.size())
            ]
        names = [argument.name for argument in self.node.target._schema.arguments]
        sizes: Sequence[Any] = self.node.args[names.index("size")]
        return [self.copy_of(n) if isinstance(n, fx.Node) else n for n in sizes]

    def _call(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        node = self.graph.call_function(target, args, kwargs)
        kept = ("stack_trace", "nn_module_stack")
        node.meta = {key: each for key, each in self.node.meta.items() if key in kept}
        values = fx.map_arg((args, kwargs), value_of)
        with self.value.fake_mode:
            node.meta["val"] = target(*values[0], **values[1])
        return node
