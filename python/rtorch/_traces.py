"""Traces of AOTAutograd on disk: a later process takes a model up where tracing it ended.

The cache is PyTorch's own, in a folder beside the modules. Its entries name the modules of a
forward and a backward graph, and hold what AOTAutograd knows of how to call them.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import fx
from torch._dynamo.utils import counters
from torch._functorch._aot_autograd import autograd_cache
from torch._functorch._aot_autograd.autograd_cache import BypassAOTAutogradCache, FXGraphCacheMiss
from torch._functorch._aot_autograd.schemas import SerializableAOTDispatchCompiler
from torch._inductor.codecache import FxGraphCache
from torch._inductor.output_code import OutputCode
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from . import _random, _report
from ._cache import compiler_identity, host, oldest_beyond
from ._compile import CompiledGraph, find_compiled
from ._graph import Calling
from ._options import Options
from ._report import GraphReport, Report


@dataclass(frozen=True)
class _Kept:
    """What an entry holds of a compiled graph."""

    key: str
    calling: Calling
    kind: str
    nodes: int


class CompiledTrace(OutputCode):
    """A graph of AOTAutograd, compiled: takes a list of arguments, which it empties."""

    def __init__(self, compiled: Callable[..., Any], seeds: int, entry: GraphReport) -> None:
        super().__init__()
        self._boxed_call = True  # of the object, so that wrappers of it have it too
        self._compiled, self._seeds, self._entry = compiled, seeds, entry

    def __call__(self, args: list[Any]) -> Any:
        if self._seeds:
            results = self._compiled(*args, _random.draw(self._seeds))
        else:
            results = self._compiled(*args)
        args.clear()  # what only the graph still needed can go
        return results

    # --- what PyTorch's cache asks for ----------------------------------------------

    def prepare_for_serialization(self) -> None:
        """Keeps what can be written; PyTorch calls it on a copy."""
        compiled = self._compiled
        if not isinstance(compiled, CompiledGraph) or not compiled.is_one_module:
            raise BypassAOTAutogradCache("a graph that is not one module of rtorch's cache")
        found = compiled.compilation
        self._kept = _Kept(found.key, found.calling, self._entry.kind, self._entry.nodes)
        del self._compiled, self._entry

    def post_compile(self, example_inputs: Any, constants: Any, graph_kwargs: Any) -> None:
        """Finds the module of an entry that was read."""
        options, report = _in_use.get()
        kept, begin = self._kept, time.perf_counter()
        found = find_compiled(kept.key, kept.calling, options)
        if found is None:
            report.graphs.clear()  # all are compiled again
            raise FXGraphCacheMiss(f"the module {kept.key} is no longer in the cache")
        self._compiled = CompiledGraph(None, kept.kind, options, relayout=True, found=found)
        self._entry = GraphReport(kept.kind, kept.nodes, kept.nodes, partitions=[self._compiled])
        self._entry.seconds = time.perf_counter() - begin
        report.graphs.append(self._entry)
        if options.record:
            _report.record(self._entry, options)

    def set_triton_bundle(self, triton_bundle: Any) -> None:
        pass


def _refusing(error: Exception) -> CompiledTrace:
    """In place of a backward graph that could not be compiled: says so where it is needed."""

    def refuse(*args: Any) -> Any:
        raise error

    return CompiledTrace(refuse, 0, GraphReport("backward"))


_in_use: ContextVar[tuple[Options, Report]] = ContextVar("rtorch_traces")
# PyTorch's settings are the process's: Dynamo compiles one graph at a time, but whoever
# calls the backend without it may not.
_SETTINGS = threading.RLock()


class TraceCache:
    """The cache of traces as one call of the backend uses it."""

    def __init__(
        self,
        module: fx.GraphModule,
        example_inputs: Sequence[Any],
        options: Options,
        report: Report,
    ) -> None:
        self._options, self._report = options, report
        self._folder = options.cache_path() / "traces"
        self._enabled = options.cache and _is_told_by_its_key(module, example_inputs)
        if self._enabled:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError:  # compiling the graph warns of it
                self._enabled = False

    def compiler(self, kind: str, compile_: Callable[..., CompiledTrace]) -> Callable[..., Any]:
        """The compiler of one kind of graph, as AOTAutograd wants it."""
        if not self._enabled:
            return compile_
        if kind != "backward":
            return SerializableAOTDispatchCompiler(CompiledTrace, compile_)

        def compile_backward(graph: fx.GraphModule, inputs: Sequence[Any]) -> CompiledTrace:
            # rtorch keeps what is saved for backward. Compiled before the first call, the graph
            # would otherwise refuse one with retain_graph.
            torch._guards.TracingContext.get().fw_metadata.bw_donated_idxs = []
            try:
                return compile_(graph, inputs)
            except Exception as error:  # it may never run: the forward graph goes on
                return _refusing(error)

        return SerializableAOTDispatchCompiler(CompiledTrace, compile_backward)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Settings under which AOTAutograd finds and keeps traces.

        The backward graph is compiled along with the forward graph, because an entry has both.
        """
        if not self._enabled:
            yield
            return
        saved = _saved()
        token = _in_use.set((self._options, self._report))
        try:
            with (
                _SETTINGS,
                torch._functorch.config.patch(
                    bundled_autograd_cache=True, force_non_lazy_backward_lowering=True
                ),
                _replaced(autograd_cache, "cache_dir", lambda: str(self._folder)),
                _replaced(autograd_cache, "AOTAutogradCacheDetails", _KeyParts),
            ):
                yield
        finally:
            _in_use.reset(token)
        if _saved() != saved:
            self._prune()

    def _prune(self) -> None:
        for entry in oldest_beyond(self._options.cache_bytes // 8, self._folder.rglob("*")):
            with contextlib.suppress(OSError):  # another process may have removed or added one
                entry.unlink()
                entry.parent.rmdir()


def _saved() -> int:
    """Traces that this process has written."""
    return counters["aot_autograd"]["autograd_cache_saved"]


def _is_told_by_its_key(module: fx.GraphModule, example_inputs: Sequence[Any]) -> bool:
    """Whether PyTorch's key has all that the trace depends on.

    It has neither the values of tensors that belong to the graph, nor which inputs share
    memory. Symbolic sizes need the graph itself at run time, and of tensors in tensors
    AOTAutograd's metadata cannot be reached.
    """
    storages = set()
    for value in example_inputs:
        if not isinstance(value, torch.Tensor):
            if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
                return False
            continue
        if value.layout != torch.strided or is_traceable_wrapper_subclass(value):
            return False
        if any(isinstance(n, torch.SymInt) for n in (*value.size(), *value.stride())):
            return False
        storage = value.untyped_storage()._cdata
        if storage in storages:
            return False
        storages.add(storage)
    own = (value for part in module.modules() for value in vars(part).values())
    return not any(
        isinstance(each, torch.Tensor) for each in (*own, *module.buffers(), *module.parameters())
    )


class _KeyParts(autograd_cache.AOTAutogradCacheDetails):
    """What the key of a trace is made of.

    PyTorch's class adds to it all that Inductor's code depends on, which takes a second to
    find out; here it is what rtorch's code depends on.
    """

    def _init_fx_graph_hash_details(
        self, gm: fx.GraphModule, example_inputs: Sequence[Any], fx_config: Any
    ) -> None:
        FxGraphCache._check_can_cache(gm, example_inputs, fx_config)
        options, _ = _in_use.get()
        self.gm, self.example_inputs = gm, list(example_inputs)
        self.torch_version = (torch.__version__, torch.version.git_version)
        self.package = (compiler_identity(), _package_identity())
        self.target = (options.target_cpu, host() if options.target_cpu == "native" else "")
        self.winograd = options.winograd
        self.mkldnn = torch.backends.mkldnn.enabled
        self.mode = (torch.is_inference_mode_enabled(), str(torch.get_default_device()))
        self.default_dtype = torch.get_default_dtype()


@cache
def _package_identity() -> list[tuple[str, int, int]]:
    """What distinguishes one state of this package from another."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
