"""What becomes of a model under torch.compile with this backend."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch

from . import _report
from ._backend import rtorch
from ._partition import FallbackWarning
from ._report import Report


@dataclass
class Explanation:
    """The graphs that Dynamo found, what is native in them, and where it broke the model up."""

    reports: list[Report]
    breaks: list[str] = field(default_factory=list)
    """Why Dynamo ended a graph, with the line of the model."""

    @property
    def native_nodes(self) -> int:
        return sum(report.native_nodes for report in self.reports)

    @property
    def eager_nodes(self) -> int:
        return sum(report.eager_nodes for report in self.reports)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as plain data."""
        return {
            "graphs": [report.as_dict() for report in self.reports],
            "breaks": self.breaks,
            "native_nodes": self.native_nodes,
            "eager_nodes": self.eager_nodes,
        }

    def __str__(self) -> str:
        lines = [
            f"{len(self.reports)} graphs, {len(self.breaks)} breaks, {self.native_nodes} nodes "
            f"native, {self.eager_nodes} in eager PyTorch"
        ]
        lines += [str(report) for report in self.reports]
        lines += [f"break: {reason}" for reason in self.breaks]
        return "\n".join(lines)


def explain(
    model: Any, *inputs: Any, options: dict[str, Any] | None = None, **kwargs: Any
) -> Explanation:
    """Compiles `model` for the inputs, runs it once, and tells what was done.

    The model's own compiled state is not touched; Dynamo's caches are reset.
    """
    reports: list[Report] = []

    def backend(module: torch.fx.GraphModule, example_inputs: list[Any]) -> Any:
        compiled = rtorch(module, example_inputs, options=options)
        reports.append(_report.last_report())
        return compiled

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        torch.compile(model, backend=backend)(*inputs, **kwargs)
    breaks = [str(reason) for reason in torch._dynamo.utils.counters["graph_break"]]
    torch._dynamo.reset()
    return Explanation(reports, breaks)
