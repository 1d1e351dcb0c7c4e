"""What was compiled, what runs in PyTorch instead, and what it cost."""

from dataclasses import dataclass, field
from typing import Any

import torch

from . import _native, _record
from ._options import Options


@dataclass
class Fallback:
    """An op that runs in eager PyTorch."""

    op: str
    count: int
    places: list[str]
    """Source lines of the model, or names of nodes."""
    reason: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.op} ({times}, at {', '.join(self.places[:3])}): {self.reason}"


@dataclass
class GraphReport:
    """One graph that Dynamo and AOTAutograd handed over."""

    kind: str
    """"forward", "backward", "inference" or "graph"."""
    nodes: int = 0
    native_nodes: int = 0
    eager_nodes: int = 0
    fallbacks: list[Fallback] = field(default_factory=list)
    partitions: list[Any] = field(default_factory=list)
    """The CompiledGraph of each part that runs natively."""
    seconds: float = 0.0

    def modules(self) -> list[dict[str, Any]]:
        """What the compiler reported of each part."""
        return [
            {
                **part.compilation.report,
                "cached": part.compilation.cached,
                "key": part.compilation.key,
                "copied_arguments": part.copies,
                "why_each_size": part.why_each_size,
            }
            for part in self.partitions
        ]


@dataclass
class Report:
    """All graphs of one call of the backend; a backward graph may come later."""

    graphs: list[GraphReport] = field(default_factory=list)

    @property
    def native_nodes(self) -> int:
        return sum(graph.native_nodes for graph in self.graphs)

    @property
    def eager_nodes(self) -> int:
        return sum(graph.eager_nodes for graph in self.graphs)

    @property
    def fallbacks(self) -> list[Fallback]:
        return [each for graph in self.graphs for each in graph.fallbacks]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "native_nodes": self.native_nodes,
            "eager_nodes": self.eager_nodes,
            "graphs": [
                {
                    "kind": graph.kind,
                    "nodes": graph.nodes,
                    "native_nodes": graph.native_nodes,
                    "eager_nodes": graph.eager_nodes,
                    "seconds": graph.seconds,
                    "fallbacks": [vars(each) for each in graph.fallbacks],
                    "modules": graph.modules(),
                }
                for graph in self.graphs
            ],
        }

    def __str__(self) -> str:
        lines = []
        for graph in self.graphs:
            modules = graph.modules()
            lines.append(
                f"{graph.kind}: {graph.native_nodes} of {graph.nodes} nodes native in "
                f"{len(modules)} modules, {graph.eager_nodes} in eager PyTorch; "
                f"{graph.seconds:.2f} s"
            )
            for module in modules:
                lines.append(
                    f"  {module['ops']} ops, {module['launches']} launches of "
                    f"{module['kernels']} kernels, code {module['code_bytes']} bytes, "
                    f"arena {module['arena_bytes']} bytes, {module['views']} views, "
                    f"{len(module['copies'])} copies"
                    + (", from the cache" if module["cached"] else "")
                )
                if why := module["why_each_size"]:
                    lines.append(f"    compiled for each size: {why.splitlines()[0]}")
                lines += [f"    copy of {c['bytes']} bytes: {c['place']}" for c in module["copies"]]
            lines += [f"  eager: {each}" for each in graph.fallbacks]
        return "\n".join(lines)


def record(graph: GraphReport, options: Options) -> None:
    """Writes what was compiled of a graph to the experiment store, as a run of its own."""
    chosen = {name: getattr(options, name) for name in ("fallback", "target_cpu", "winograd")}
    versions = {"rtorch": _native.version(), "llvm": _native.llvm_description()}
    facts = {
        "model": f"{graph.kind} graph",
        "options": chosen | {"cache": options.cache},
        "versions": versions | {"torch": torch.__version__},
    }
    modules = graph.modules()
    with _record.record_run("torch.compile", facts) as run:
        for each in graph.fallbacks:
            run.event("fallback", vars(each))
        run.finish(
            "done",
            {
                "total_s": graph.seconds,
                "nodes": graph.nodes,
                "native_nodes": graph.native_nodes,
                "other_nodes": graph.eager_nodes,
                "modules": modules,
            },
        )


_reports: list[Report] = []


def begin() -> Report:
    """A new report, which is the last one from now on."""
    _reports[:] = [Report()]
    return _reports[0]


def last_report() -> Report:
    """The report of the backend's latest call; empty before the first."""
    return _reports[0] if _reports else Report()
