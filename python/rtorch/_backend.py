"""The backend "rtorch" of torch.compile."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import fx
from torch._decomp import core_aten_decompositions
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.partitioners import min_cut_rematerialization_partition

from . import _native, _random, _report
from ._options import Options
from ._partition import compile_module, warn_of
from ._report import GraphReport, Report
from ._traces import CompiledTrace, TraceCache


def rtorch(
    module: fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """Compiles a graph of Dynamo: what `torch.compile(model, backend="rtorch")` calls.

    Forward and backward graphs come from AOTAutograd. `options`: see `rtorch.Options`.
    """
    if mode not in (None, "default"):
        raise ValueError(f"backend 'rtorch' has no modes, but got mode={mode!r}")
    chosen = Options.of(options)
    report = _report.begin()

    traces = TraceCache(module, example_inputs, chosen, report)

    def compiler(kind: str) -> Callable[..., Any]:
        return traces.compiler(kind, lambda graph, _: _compile(graph, kind, chosen, report))

    backend = aot_autograd(
        fw_compiler=compiler("forward"),
        bw_compiler=compiler("backward"),
        inference_compiler=compiler("inference"),
        decompositions=decompositions(),
        partition_fn=min_cut_rematerialization_partition,
        keep_inference_input_mutations=True,
    )
    with _steps_of_recurrent_layers(module), traces.in_use():
        return backend(module, example_inputs)


def _steps_of_recurrent_layers(module: fx.GraphModule) -> contextlib.AbstractContextManager[Any]:
    """Makes AOTAutograd write recurrent layers as steps, and not as oneDNN's op for a layer."""
    recurrent = ("lstm", "gru", "rnn_tanh", "rnn_relu")
    if any(getattr(n.target, "__name__", "") in recurrent for n in module.graph.nodes):
        return torch.backends.mkldnn.flags(enabled=False)
    return contextlib.nullcontext()


def _compile(module: fx.GraphModule, kind: str, options: Options, report: Report) -> CompiledTrace:
    entry = GraphReport(kind)
    report.graphs.append(entry)
    module, seeds = _random.with_seeds(module)
    compiled = compile_module(module, kind, options, entry)
    warn_of(entry)
    if options.record:
        _report.record(entry, options)
    return CompiledTrace(compiled, seeds, entry)


@cache
def decompositions() -> dict[Any, Callable[..., Any]]:
    """PyTorch's decompositions to core ATen of what rtorch does not compile whole."""
    supported = set(_native.supported_ops())
    core = {
        op: rule
        for op, rule in core_aten_decompositions().items()
        if not (isinstance(op, torch._ops.OpOverload) and str(op) in supported)
    }
    return core | _random.decompositions()
