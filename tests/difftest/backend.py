"""Compares programs compiled by torch.compile(backend="rtorch") with eager PyTorch.

torch.compile itself changes some programs: strides of results, what they share. Where
its tracer without a compiler (backend "aot_eager") differs from eager in the same way,
it is right.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import compare
import harness
import torch
from compare import Verdict
from program import Program, Programs
from torch.utils import _pytree as pytree

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release")) / "python"))


def judge(programs: Sequence[Program]) -> list[Verdict]:
    """A verdict for each program."""
    import rtorch  # noqa: F401 - registers the backend

    return [
        _judge(Programs([program]).parts[0], program.arguments(program.seed), _dynamic(program))
        for program in programs
    ]


def _dynamic(program: Program) -> bool | None:
    """One in three with symbolic sizes."""
    return True if program.seed % 3 == 0 else None


def compare_model(
    model: torch.nn.Module,
    arguments: list[torch.Tensor],
    *,
    dynamic: list[list[int]],
    decomposed: bool,
) -> None:
    """What the script of a program calls: prints what differs from eager, or that none does."""
    import rtorch  # noqa: F401

    for symbolic in (None, True) if any(dynamic) else (None,):
        verdict = _judge(model, arguments, symbolic)
        print(verdict.kind, verdict.detail)


def _judge(part: torch.nn.Module, arguments: list[torch.Tensor], dynamic: bool | None) -> Verdict:
    eager = compare._Eager(harness.copy_model(part), arguments)
    if eager.error:
        return Verdict(compare.RIGHT)
    try:
        ours = _run(part, arguments, "rtorch", dynamic)
    except Exception as error:  # PyTorch raises what it likes
        detail = compare._first_line(error)
        try:
            _run(part, arguments, "aot_eager", dynamic)
        except Exception:
            return Verdict(compare.REFUSED, f"torch.compile: {detail}")
        return Verdict(compare.WRONG, detail)
    pointers = [x.data_ptr() if isinstance(x, torch.Tensor) else 0 for x in ours.results]
    verdict = compare._verdict(eager, ours, pointers, None)
    if verdict.kind == compare.RIGHT:
        return verdict
    traced = _run(part, arguments, "aot_eager", dynamic)
    return compare._verdict(eager, ours, pointers, traced)


def _run(
    part: torch.nn.Module, arguments: list[torch.Tensor], backend: str, dynamic: bool | None
) -> Any:
    """What a compiled copy of the program gives and leaves."""
    torch._dynamo.reset()
    model = harness.copy_model(part)
    given = [harness.copy_exactly(x) for x in arguments]
    with torch.no_grad():
        results = torch.compile(model, backend=backend, dynamic=dynamic)(*given)
    return compare._Outcome(pytree.tree_leaves(results), given, dict(model.named_buffers()))
