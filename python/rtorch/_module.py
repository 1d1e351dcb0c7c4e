"""Compiled modules as Python callables."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from . import _native
from ._compile import CompiledGraph
from ._options import Options


class Module:
    """A loaded module (.rtm). Called with tensors it returns what the exported model does.

    Arguments are checked against the contract that `arguments` lists: LayoutError and
    ArgumentError name what does not fit. With `relayout=True` arguments of other strides
    are copied instead, and counted in `copies`. Runs may be started from several threads.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, in_spec: Any = None, out_spec: Any = None
    ) -> None:
        self._native = _native.Module(os.fspath(path))
        self._in_spec, self._out_spec = in_spec, out_spec

    def __call__(self, *args: Any, relayout: bool = False, **kwargs: Any) -> Any:
        flat, spec = pytree.tree_flatten((args, kwargs))
        if self._in_spec is not None and spec != self._in_spec:
            raise TypeError(f"expected arguments like {self._in_spec}, but got {spec}")
        results = self._native.call(flat, torch.get_num_threads(), relayout)
        if self._out_spec is not None:
            return pytree.tree_unflatten(results, self._out_spec)
        return results[0] if len(results) == 1 else tuple(results)

    @property
    def arguments(self) -> list[dict[str, Any]]:
        """The contract: kind, name, dtype, sizes and strides of each flattened argument."""
        return self._native.arguments()

    @property
    def results(self) -> list[dict[str, Any]]:
        """The same of each flattened result."""
        return self._native.results()

    @property
    def states(self) -> dict[str, torch.Tensor]:
        """Buffers that runs change, by name; the tensors share the module's memory."""
        return self._native.states()

    @property
    def copies(self) -> int:
        """Arguments that calls so far have copied into other strides."""
        return self._native.copies

    def describe(self) -> dict[str, Any]:
        """Producer, target, needed CPU features, kernels, and sizes in bytes."""
        return self._native.describe()


def load(path: str | os.PathLike[str]) -> Module:
    """Loads a module that `rtorch-compile` or `rtorch.compile` wrote.

    Raises ModuleError for a file that is damaged or for another CPU.
    """
    return Module(path)


def compile(
    program: torch.export.ExportedProgram | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    target_cpu: str = "native",
    winograd: bool = True,
) -> Module:
    """Compiles an exported program, or the archive `program`, and loads it.

    The module is kept as the file `output` if one is named. `winograd`: as in the options
    of the backend. Raises UnsupportedOpError
    with all ops that are not supported, CompileError for what else goes wrong.
    """
    with tempfile.TemporaryDirectory(prefix="rtorch-") as folder:
        in_spec = out_spec = None
        archive = Path(folder) / "model.pt2"
        if isinstance(program, torch.export.ExportedProgram):
            torch.export.save(program, archive)
            in_spec, out_spec = program.call_spec.in_spec, program.call_spec.out_spec
        else:
            archive = Path(program)
        path = Path(output) if output is not None else Path(folder) / "model.rtm"
        _native.compile(str(archive), str(path), target_cpu, winograd=winograd)
        return Module(path, in_spec=in_spec, out_spec=out_spec)


def run_fx(
    module: fx.GraphModule, inputs: Sequence[Any], *, options: Mapping[str, Any] | None = None
) -> Any:
    """Compiles the graph of ATen calls and runs it once on `inputs`.

    Nodes need no metadata: it is computed for the inputs. Raises UnsupportedOpError with
    all ops that are not supported. For many runs see `torch.compile`.
    """
    fake_mode = torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)
    fakes = [fake_mode.from_tensor(x) if isinstance(x, torch.Tensor) else x for x in inputs]
    described = fx.GraphModule(module, module.graph)
    with fake_mode:
        _Describe(described).run(*fakes)
    return CompiledGraph(described, "graph", Options.of(options), relayout=False)(*inputs)


class _Describe(fx.Interpreter):
    """Notes what each node gives in meta["val"]."""

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        node.meta["val"] = value
        return value
