"""The forward and backward graphs that AOTAutograd makes of a model, compiled and compared.

Each graph is run by eager PyTorch with the arguments that a training step gives it, and
exported from there: its nodes are ATen ops, gradients' ops among them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import torch
from torch._decomp import core_aten_decompositions
from torch._functorch.aot_autograd import aot_function, aot_module, make_boxed_func


def core_decompositions() -> dict:
    """Core ATen's, but for attention's: it gives weights where the gradient expects sums."""
    table = dict(core_aten_decompositions())
    del table[torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default]
    return table


class Captured(torch.nn.Module):
    """A graph of AOTAutograd as a module that gives its tensors, without the Nones."""

    def __init__(self, graph: torch.fx.GraphModule):
        super().__init__()
        self.graph = graph

    def forward(self, *args: Any) -> list[Any]:
        return [value for value in self.graph(*args) if value is not None]


@dataclass
class Graphs:
    """Both graphs of a step, and the arguments that they were called with."""

    forward: torch.nn.Module
    forward_args: tuple
    backward: torch.nn.Module
    backward_args: tuple

    def check(self, folder: Path) -> None:
        """Compiles both graphs and compares them with eager."""
        for name in ("forward", "backward"):
            (folder / name).mkdir(exist_ok=True)
            harness.check_module(
                folder / name,
                getattr(self, name),
                getattr(self, f"{name}_args"),
                both_forms=False,
            )


class _Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[torch.nn.Module, tuple]] = []

    def compile(self, graph: torch.fx.GraphModule, _: Any) -> Callable:
        module = Captured(graph)

        def run(*args: Any) -> Any:
            kept = tuple(a.detach() if isinstance(a, torch.Tensor) else a for a in args)
            self.calls.append((module, tuple(map(harness.copy_exactly, kept))))
            return graph(*args)

        return make_boxed_func(run)


def _graphs(recorder: _Recorder, loss: torch.Tensor) -> Graphs:
    loss.backward()
    (forward, forward_args), (backward, backward_args) = recorder.calls
    return Graphs(forward, forward_args, backward, backward_args)


def of_function(
    function: Callable,
    args: Sequence[torch.Tensor],
    decompositions: dict | None = None,
    wanted: Sequence[bool] | None = None,
) -> Graphs:
    """The graphs of a function; every float argument (that is `wanted`) gets a gradient."""
    recorder = _Recorder()
    wanted = wanted or [True] * len(args)
    leaves = [
        a.detach().requires_grad_(want and a.is_floating_point())
        for a, want in zip(args, wanted, strict=True)
    ]
    compiled = aot_function(
        function,
        fw_compiler=recorder.compile,
        bw_compiler=recorder.compile,
        decompositions=decompositions,
    )
    result = compiled(*leaves)
    torch.manual_seed(7)
    tensors = result if isinstance(result, (tuple, list)) else [result]
    loss = sum((t * torch.randn_like(t)).sum() for t in tensors if t.requires_grad)
    return _graphs(recorder, loss)


def of_model(
    model: torch.nn.Module,
    args: Sequence[Any],
    loss: Callable[..., torch.Tensor],
    decompositions: dict | None = None,
) -> Graphs:
    """The graphs of one training step of a model: of `loss(model(*args))`."""

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: Any) -> torch.Tensor:
            return loss(self.model(*args))

    recorder = _Recorder()
    compiled = aot_module(
        Step(),
        fw_compiler=recorder.compile,
        bw_compiler=recorder.compile,
        decompositions=decompositions,
    )
    return _graphs(recorder, compiled(*args))
