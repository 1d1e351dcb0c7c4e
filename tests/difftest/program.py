"""Small programs as data: what the generator makes, the shrinker cuts, a person reads.

A program is a list of steps in Python source over named values, so that it can be run by
eager PyTorch, exported, changed step by step, and printed as a script that shows a
difference on its own.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

INPUT, PARAMETER, BUFFER = "input", "parameter", "buffer"


@dataclass(frozen=True)
class Leaf:
    """An input, parameter or buffer: a view of a storage of its own."""

    name: str
    role: str
    dtype: torch.dtype
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    dynamic: tuple[int, ...] = ()  # dims whose size may vary; inputs only

    def tensor(self, seed: int) -> torch.Tensor:
        return data(self.dtype, self.sizes, self.strides, self.offset, seed)

    def source(self, seed: int) -> str:
        layout = f"{list(self.sizes)}, {list(self.strides)}, {self.offset}"
        return f"data({self.dtype}, {layout}, {seed})"


@dataclass(frozen=True)
class Step:
    """One statement: `results` = `code` of `operands`; without results a mutation."""

    results: tuple[str, ...]
    code: str  # with {0}, {1}, ... for the operands
    operands: tuple[str, ...]

    def statement(self, leaf_names: dict[str, str]) -> str:
        code = self.code.format(*(leaf_names.get(name, name) for name in self.operands))
        return f"{', '.join(self.results)} = {code}" if self.results else code


@dataclass(frozen=True)
class Program:
    leaves: tuple[Leaf, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    decomposed: bool = False
    seed: int = 0

    def inputs(self) -> list[Leaf]:
        return [leaf for leaf in self.leaves if leaf.role == INPUT]

    def arguments(self, seed: int) -> list[torch.Tensor]:
        return [leaf.tensor(seed + i) for i, leaf in enumerate(self.leaves) if leaf.role == INPUT]

    def replace(self, **changes: Any) -> "Program":
        return dataclasses.replace(self, **changes)

    def forward_source(self) -> str:
        names = {leaf.name: f"self.{leaf.name}" for leaf in self.leaves if leaf.role != INPUT}
        inputs = "".join(f", {leaf.name}" for leaf in self.inputs())
        lines = [f"def forward(self{inputs}):"]
        lines += [f"    {step.statement(names)}" for step in self.steps]
        results = [names.get(name, name) for name in self.outputs]
        return "\n".join([*lines, f"    return [{', '.join(results)}]", ""])


def data(
    dtype: torch.dtype,
    sizes: Sequence[int],
    strides: Sequence[int],
    offset: int,
    seed: int,
) -> torch.Tensor:
    """A tensor of this layout whose storage holds numbers that depend on `seed` alone."""
    last = sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    count = offset + (0 if 0 in sizes else last + 1)
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        storage = torch.randn(count, generator=generator, dtype=torch.float64).to(dtype)
    elif dtype == torch.bool:
        storage = torch.randint(0, 2, (count,), generator=generator).bool()
    else:
        low = 0 if dtype == torch.uint8 else -9
        storage = torch.randint(low, 10, (count,), generator=generator).to(dtype)
    return storage.as_strided(list(sizes), list(strides), offset)


class Model(torch.nn.Module):
    """A program as a module."""

    def __init__(self, program: Program):
        super().__init__()
        for i, leaf in enumerate(program.leaves):
            tensor = None if leaf.role == INPUT else leaf.tensor(program.seed + 100 + i)
            if leaf.role == PARAMETER:
                setattr(self, leaf.name, torch.nn.Parameter(tensor, requires_grad=False))
            elif leaf.role == BUFFER:
                self.register_buffer(leaf.name, tensor)
        scope: dict[str, Any] = {"torch": torch, "F": F}
        exec(program.forward_source(), scope)
        self._forward = scope["forward"]

    def forward(self, *arguments: torch.Tensor) -> list[Any]:
        return self._forward(self, *arguments)


class Programs(torch.nn.Module):
    """Several programs as one module, so that one export and one compile serve all."""

    def __init__(self, programs: Sequence[Program]):
        super().__init__()
        self.parts = torch.nn.ModuleList(Model(program) for program in programs)
        self.counts = [len(program.inputs()) for program in programs]

    def forward(self, *arguments: torch.Tensor) -> list[list[Any]]:
        results, position = [], 0
        for part, count in zip(self.parts, self.counts, strict=True):
            results.append(part(*arguments[position : position + count]))
            position += count
        return results


_SCRIPT = """\
import sys

sys.path[:0] = ["tests/difftest", "tests/e2e"]
import torch
import torch.nn.functional as F
from {module} import compare_model
from program import data


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
{state}

{forward}

arguments = [{arguments}]
dynamic = {dynamic}
compare_model(Model(), arguments, dynamic=dynamic, decomposed={decomposed})
"""


def script(program: Program, *, compiled: bool = False) -> str:
    """A script, run from the root of the tree, that shows what becomes of the program."""
    state = []
    for i, leaf in enumerate(program.leaves):
        source = leaf.source(program.seed + 100 + i)
        if leaf.role == PARAMETER:
            state.append(f"self.{leaf.name} = torch.nn.Parameter({source}, requires_grad=False)")
        elif leaf.role == BUFFER:
            state.append(f'self.register_buffer("{leaf.name}", {source})')
    inputs = [(i, leaf) for i, leaf in enumerate(program.leaves) if leaf.role == INPUT]
    return _SCRIPT.format(
        module="backend" if compiled else "compare",
        state="\n".join(f"        {line}" for line in state or ["pass"]),
        forward="\n".join(f"    {line}" for line in program.forward_source().splitlines()),
        arguments=", ".join(leaf.source(program.seed + i) for i, leaf in inputs),
        dynamic=[list(leaf.dynamic) for _, leaf in inputs],
        decomposed=program.decomposed,
    )
