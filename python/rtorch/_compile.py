"""FX graphs as native modules."""

import contextlib
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx

from . import _archive, _native
from ._cache import Cache, key_of, key_parts
from ._errors import CompileError, LayoutError, ModuleError, UnsupportedOpError
from ._graph import Calling, Serialized, serialize, value_of
from ._options import Options

_MOST_VARIANTS = 16


class CacheWarning(UserWarning):
    """The cache of compiled graphs cannot be used."""


@dataclass
class Compilation:
    """What a graph was compiled to, and what that cost."""

    module: Any
    calling: Calling
    report: dict[str, Any]
    key: str = ""
    cached: bool = False


def compile_serialized(graph: Serialized, name: str, options: Options) -> Compilation:
    """Loads the module of the graph from the cache, or compiles it; CompileError says why not."""
    if options.cache:
        try:
            return _through_cache(graph, name, options)
        except OSError as error:
            warnings.warn(
                f"rtorch cannot use its cache in {options.cache_path()}: {error}",
                CacheWarning,
                stacklevel=2,
            )
    with tempfile.TemporaryDirectory(prefix="rtorch-") as folder:
        path = Path(folder) / "module.rtm"
        report = _compile_to(graph, name, path, options)
        return Compilation(_native.Module(str(path)), graph.calling, report)


def _through_cache(graph: Serialized, name: str, options: Options) -> Compilation:
    cache = Cache(options.cache_path(), options.cache_bytes)
    parts = key_parts(graph, options)
    key = key_of(parts)
    if found := find_compiled(key, graph.calling, options):
        return found
    temporary = cache.temporary()
    try:
        report = _compile_to(graph, name, temporary, options)
        module = _native.Module(str(temporary))
        cache.add(name, parts, temporary, report)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return Compilation(module, graph.calling, report, key)


def find_compiled(key: str, calling: Calling, options: Options) -> Compilation | None:
    """What the cache has under the key."""
    cache = Cache(options.cache_path(), options.cache_bytes)
    if found := cache.find(key):
        try:
            return Compilation(_native.Module(str(found[0])), calling, found[1], key, cached=True)
        except ModuleError:  # damaged: compile it again
            cache.remove(key)
    return None


def _compile_to(graph: Serialized, name: str, output: Path, options: Options) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rtorch-") as folder:
        archive = Path(folder) / "graph.pt2"
        _archive.write(archive, graph, name)
        return _native.compile(
            str(archive),
            str(output),
            options.target_cpu,
            winograd=options.winograd,
            kernel_cache=str(options.cache_path() / "kernels") if options.cache else "",
            kernel_cache_bytes=options.cache_bytes,
        )


class CompiledGraph:
    """A native module in the place of an FX graph: takes what its placeholders take.

    Where sizes break a relation that the module was compiled under, it is compiled once
    more for these sizes alone. So is each of the sizes that come where the graph cannot be
    compiled for all at once, because too little is known of how they relate. Arguments of
    other strides than the graph was traced with are copied, and counted in `copies`, if
    `relayout` allows it.
    """

    def __init__(
        self,
        module: fx.GraphModule | None,
        name: str,
        options: Options,
        *,
        relayout: bool,
        found: Compilation | None = None,
    ) -> None:
        """Compiles `module`; where the one module that serves all calls is `found` already,
        there is nothing to compile and `module` is None.
        """
        self._options, self._name, self._relayout = options, name, relayout
        self._traced = module
        self._lock = threading.Lock()
        self.variants: dict[tuple[int, ...], Compilation] = {}
        self._symbols = {} if module is None else _symbol_places(module)
        self.why_each_size = ""
        """Why the graph is compiled for each of its sizes; empty: it is not."""
        self.compilation = found or self._compile()
        if not self._symbols:
            self._traced = None

    def _compile(self) -> Compilation:
        try:
            return compile_serialized(serialize(self._traced), self._name, self._options)
        except CompileError as error:
            if not self._symbols or isinstance(error, UnsupportedOpError):
                raise
            self.why_each_size = error.message
            return self._compile_for(_traced_sizes(self._symbols))

    @property
    def is_one_module(self) -> bool:
        """Whether one module serves all calls, and the cache has it."""
        return not self._symbols and bool(self.compilation.key)

    def __call__(self, *args: Any) -> Any:
        if self.why_each_size:
            return self._run(self._variant(args), args)
        try:
            return self._run(self.compilation, args)
        except LayoutError as error:
            if error.code not in ("RT_LAYOUT_CHECK", "RT_LAYOUT_RANGE") or not self._symbols:
                raise
            return self._run(self._variant(args), args)

    @property
    def copies(self) -> int:
        """Arguments that calls so far have copied into other strides."""
        every = {id(each): each for each in (self.compilation, *self.variants.values())}
        return sum(each.module.copies for each in every.values())

    def _run(self, compilation: Compilation, args: Sequence[Any]) -> Any:
        calling = compilation.calling
        results = compilation.module.call(
            [args[i] for i in calling.inputs], torch.get_num_threads(), self._relayout
        )
        outputs = tuple(
            results[x] if kind == "result" else args[x] if kind == "input" else x
            for kind, x in calling.outputs
        )
        return outputs[0] if calling.single else outputs

    def _variant(self, args: Sequence[Any]) -> Compilation:
        return self._compile_for(
            {symbol: _size(args, place) for symbol, place in self._symbols.items()}
        )

    def _compile_for(self, values: dict[Any, int]) -> Compilation:
        key = tuple(values.values())
        with self._lock:
            if key not in self.variants:
                if len(self.variants) >= _MOST_VARIANTS:
                    self.variants.pop(next(iter(self.variants)))
                graph = serialize(self._traced, values)
                self.variants[key] = compile_serialized(graph, self._name, self._options)
            return self.variants[key]


def _traced_sizes(symbols: Mapping[Any, Any]) -> dict[Any, int]:
    """The sizes that the graph was traced with."""
    return {symbol: int(size.node.hint) for symbol, (_, _, size) in symbols.items()}


def _size(args: Sequence[Any], place: tuple[int, int | None, Any]) -> int:
    argument, dim, _ = place
    return int(args[argument]) if dim is None else args[argument].size(dim)


def _symbol_places(module: fx.GraphModule) -> dict[Any, tuple[int, int | None, Any]]:
    """Where a call tells the value of each symbol: an argument, a dim of it, and its size."""
    places: dict[Any, tuple[int, int | None, Any]] = {}
    for i, node in enumerate(module.graph.find_nodes(op="placeholder")):
        value = value_of(node)
        sizes = enumerate(value.size()) if isinstance(value, torch.Tensor) else [(None, value)]
        for dim, size in sizes:
            if isinstance(size, torch.SymInt) and size.node.expr.is_symbol:
                places.setdefault(size.node.expr, (i, dim, size))
    return places
