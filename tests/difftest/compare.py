"""Compiles programs and compares them with eager PyTorch.

What must agree: values, dtypes, sizes and strides of results, inputs and buffers after
the run, and which results lie in the memory of which other tensors.
"""

import inspect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import capi
import harness
import noise
import torch
from generate import overlaps_itself
from program import Program, Programs, data
from torch.utils import _pytree as pytree

RIGHT, REFUSED, WRONG = "right", "refused", "wrong"


@dataclass
class Verdict:
    """What became of a program; `detail` says why it was refused or what is wrong."""

    kind: str
    detail: str = ""


class Refused(Exception):
    """PyTorch cannot export the program, or rtorch says that it cannot compile it."""


def judge(programs: Sequence[Program]) -> list[Verdict]:
    """A verdict for each program; all are compiled as one module where that works."""
    if len({program.decomposed for program in programs}) > 1:
        return _judge_apart(programs, [p.decomposed for p in programs])
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _compare(_compile(Path(folder), programs), programs)
        except Refused as error:
            if len(programs) == 1:
                return [Verdict(REFUSED, str(error))]
            half = len(programs) // 2
            return judge(programs[:half]) + judge(programs[half:])


def _judge_apart(programs: Sequence[Program], keys: Sequence[bool]) -> list[Verdict]:
    verdicts: dict[int, Verdict] = {}
    for wanted in set(keys):
        places = [i for i, key in enumerate(keys) if key == wanted]
        judged = judge([programs[i] for i in places])
        verdicts.update(zip(places, judged, strict=True))
    return [verdicts[i] for i in range(len(programs))]


def compare_model(
    model: torch.nn.Module,
    arguments: list[torch.Tensor],
    *,
    dynamic: list[list[int]],
    decomposed: bool,
) -> None:
    """What the script of a program calls: prints what differs from eager, or that none does."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = _compile_model(Path(folder), model, arguments, dynamic, decomposed)
        verdict = _compare_run(compiled, [compiled.eager], [arguments])[0]
    print(verdict.kind, verdict.detail)


# --- compiling ----------------------------------------------------------------


def _compile(folder: Path, programs: Sequence[Program]) -> harness.Compiled:
    arguments = [x for program in programs for x in program.arguments(program.seed)]
    dynamic = [list(leaf.dynamic) for program in programs for leaf in program.inputs()]
    model = Programs(programs)
    return _compile_model(folder, model, arguments, dynamic, programs[0].decomposed)


def _compile_model(
    folder: Path,
    model: torch.nn.Module,
    arguments: list[torch.Tensor],
    dynamic: list[list[int]],
    decomposed: bool,
) -> harness.Compiled:
    shapes = tuple(dict.fromkeys(dims, torch.export.Dim.AUTO) for dims in dynamic)
    (first, *_) = inspect.signature(model.forward).parameters.values()
    is_list = first.kind is first.VAR_POSITIONAL
    eager = harness.copy_model(model)
    arguments = [harness.copy_exactly(x) for x in arguments]
    try:
        program = torch.export.export(
            model,
            tuple(arguments),
            dynamic_shapes=((shapes,) if is_list else shapes) if any(shapes) else None,
        )
        if decomposed:
            program = program.run_decompositions()
        archive = folder / "model.pt2"
        torch.export.save(program, archive)
    except Exception as error:  # PyTorch raises what it likes
        raise Refused(f"torch.export: {_first_line(error)}") from error
    path = folder / "model.rtm"
    done = harness.command("rtorch-compile", archive, "-o", path)
    if done.returncode != 0:
        crashed = "" if done.returncode == 1 else f"exit status {done.returncode}: "
        raise Refused(f"rtorch-compile: {crashed}{done.stderr.strip()}")
    return harness.Compiled(eager, program, archive, path, {})


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


# --- running ------------------------------------------------------------------


def _compare(compiled: harness.Compiled, programs: Sequence[Program]) -> list[Verdict]:
    """Verdicts of runs on the exported values, on others, and on other sizes."""
    verdicts = [Verdict(RIGHT) for _ in programs]
    first = [program.arguments(program.seed) for program in programs]
    second = [program.arguments(program.seed + 1000) for program in programs]
    runs = [first, second]
    if any(leaf.dynamic for program in programs for leaf in program.inputs()):
        resized = [_resized(compiled.program, first, seed) for seed in (1, 2)]
        runs += [arguments for arguments in resized if not _overlap_newly(arguments, first)]
    for arguments in runs:
        parts = [harness.copy_model(part) for part in compiled.eager.parts]
        for i, verdict in enumerate(_compare_run(compiled, parts, arguments)):
            if verdicts[i].kind == RIGHT:
                verdicts[i] = verdict
    return verdicts


def _resized(
    program: torch.export.ExportedProgram, arguments: list[list[torch.Tensor]], seed: int
) -> list[list[torch.Tensor]]:
    """Arguments whose dynamic dims have other sizes, as the exported graph allows."""
    fakes = list(_user_inputs(program))
    sizes = [n for fake in fakes for n in fake.size() if isinstance(n, torch.SymInt)]
    chosen: dict[Any, int] = {}
    for size in sizes:
        for symbol in sorted(size.node.expr.free_symbols, key=str):
            chosen.setdefault(symbol, _other_size(program, symbol, size, seed + len(chosen)))

    def number(value: int | torch.SymInt) -> int:
        if isinstance(value, int):
            return value
        known = value.node.shape_env.backed_var_to_val | chosen  # strides of their own stay
        return int(value.node.expr.subs(known))

    values = iter(fakes)
    return [
        [_like(next(values), number, given.storage_offset(), seed) for given in group]
        for group in arguments
    ]


def _overlap_newly(resized: list[list[torch.Tensor]], given: list[list[torch.Tensor]]) -> bool:
    """Whether sizes have outgrown strides, so that elements share memory."""
    pairs = zip(sum(resized, []), sum(given, []), strict=True)  # noqa: RUF017
    return any(overlaps_itself(a) and not overlaps_itself(b) for a, b in pairs)


def _like(fake: torch.Tensor, number: Callable[[Any], int], offset: int, seed: int) -> torch.Tensor:
    sizes, strides = [number(n) for n in fake.size()], [number(s) for s in fake.stride()]
    return data(fake.dtype, sizes, strides, offset, seed)


def _user_inputs(program: torch.export.ExportedProgram) -> Iterator[torch.Tensor]:
    names = set(program.graph_signature.user_inputs)
    return (
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in names
    )


def _other_size(program: Any, symbol: Any, size: torch.SymInt, seed: int) -> int:
    limits = program.range_constraints.get(symbol)
    hint = int(size.node.shape_env.backed_var_to_val.get(symbol, 4))
    low = max(int(limits.lower), 2) if limits else 2
    high = int(min(limits.upper, 40)) if limits else 40
    return min(max(hint + [1, -1, 2, 5, 14][seed % 5], low), high)


def _compare_run(
    compiled: harness.Compiled,
    parts: Sequence[torch.nn.Module],
    arguments: list[list[torch.Tensor]],
) -> list[Verdict]:
    """A run from the initial state, so that no rounding of an earlier one is carried on."""
    ours_arguments = [[harness.copy_exactly(x) for x in group] for group in arguments]
    flat = [x for group in ours_arguments for x in group]
    instance = capi.Instance(compiled.instance.module)
    call = instance.prepare(flat, threads=2)
    eager = [_Eager(part, group) for part, group in zip(parts, arguments, strict=True)]
    failed = next((each.error for each in eager if each.error), None)
    try:
        raw = list(call())
    except capi.RtorchError as error:
        if len(parts) == 1 and failed:
            return [Verdict(RIGHT)]
        raise Refused(f"run: {error}") from error
    if failed and len(parts) > 1:
        raise Refused(f"eager: {failed}")  # so that the others are compared without it
    if failed:
        return [Verdict(RIGHT)]  # an assertion that the exporter left out
    graph = _run_graph(compiled, arguments)
    results = [capi.from_value(value, flat) for value in raw]
    pointers = [value.data for value in raw]
    states = instance.states()
    verdicts, position, first = [], 0, 0
    for i, each in enumerate(eager):
        count, given = len(each.results), len(each.arguments)

        def buffers_of(named: dict[str, torch.Tensor], i: int = i) -> dict[str, torch.Tensor]:
            mine = "" if len(parts) == 1 else f"parts.{i}."
            return {n.rpartition(".")[2]: x for n, x in named.items() if n.startswith(mine)}

        span = slice(position, position + count)
        ours = _Outcome(results[span], ours_arguments[i], buffers_of(states))
        exported = graph and _Outcome(
            graph.results[span], graph.arguments[first : first + given], buffers_of(graph.buffers)
        )
        verdicts.append(_verdict(each, ours, pointers[span], exported))
        position, first = position + count, first + given
    return verdicts


@dataclass
class _Outcome:
    """What a run gives, and what it leaves."""

    results: list[Any]
    arguments: list[torch.Tensor]
    buffers: dict[str, torch.Tensor]

    def named_tensors(self) -> dict[str, Any]:
        named = {f"result {i}": x for i, x in enumerate(self.results)}
        named |= {f"input {i} after the run": x for i, x in enumerate(self.arguments)}
        named |= {f"buffer {name} after the run": x for name, x in self.buffers.items()}
        return named


def _run_graph(compiled: harness.Compiled, arguments: list[list[torch.Tensor]]) -> _Outcome | None:
    """What PyTorch makes of the graph if it is a decomposed one.

    Decomposing forgets what results alias, gives some of them other strides, reads other
    elements where `as_strided` counts from the start of an input that has been mutated, and
    loses what a mutation leaves outside the windows of an `unfold`.
    """
    if "TRAINING" in str(compiled.program.dialect):
        return None
    flat = [harness.copy_exactly(x) for group in arguments for x in group]
    module = harness.copy_model(compiled.program.module())
    try:
        with torch.no_grad():
            results = pytree.tree_leaves(module(*flat))
    except AssertionError as error:  # a guard that PyTorch added, beyond what it says of sizes
        raise Refused(f"torch.export: {_first_line(error)}") from error
    return _Outcome(results, flat, dict(module.named_buffers()))


class _Eager:
    """A run of eager PyTorch, with what is needed to do it again."""

    def __init__(self, part: torch.nn.Module, arguments: list[torch.Tensor]):
        self.before = harness.copy_model(part)
        self.given = arguments
        self.arguments = [harness.copy_exactly(x) for x in arguments]
        self.part = part
        self.error: Exception | None = None
        self.results: list[Any] = []
        with torch.no_grad():
            try:
                self.results = list(part(*self.arguments))
            except (RuntimeError, IndexError, ValueError) as error:
                self.error = error

    def named_tensors(self) -> dict[str, Any]:
        buffers = dict(self.part.named_buffers())
        return _Outcome(self.results, self.arguments, buffers).named_tensors()

    def in_double(self) -> dict[str, Any]:
        """The named tensors computed in float64; empty where that is not possible."""
        wide = [x.double() if x.is_floating_point() else x for x in self.given]
        again = _Eager(harness.copy_model(self.before).double(), wide)
        return {} if again.error else again.named_tensors()

    def with_noise(self, seed: int) -> dict[str, Any]:
        with noise.Rounding(seed):
            again = _Eager(harness.copy_model(self.before), self.given)
        return {} if again.error else again.named_tensors()


def _verdict(eager: _Eager, ours: _Outcome, pointers: list[int], graph: _Outcome | None) -> Verdict:
    actual, expected = ours.named_tensors(), eager.named_tensors()
    exported = graph.named_tensors() if graph else {}
    for i, result in enumerate(graph.results if graph else []):
        name, mine = f"result {i}", ours.results[i]
        if harness.visible_strides(result) == harness.visible_strides(mine):
            actual[name], expected[name] = mine.contiguous(), expected[name].contiguous()
    for name, tensor in actual.items():
        try:
            harness.assert_like_eager(
                name, tensor, expected[name], lambda name=name: eager.in_double()[name]
            )
        except (AssertionError, KeyError) as error:
            as_graph = name in exported and _close(tensor, exported[name])
            if not as_graph and not _is_rounding(eager, name, tensor, expected[name]):
                return Verdict(WRONG, str(error))
    try:
        if graph is None:
            _check_aliases(eager, ours, pointers)
    except AssertionError as error:
        return Verdict(WRONG, str(error))
    return Verdict(RIGHT)


def _close(ours: Any, theirs: Any) -> bool:
    """Whether these are the same but for rounding; the order of dims in memory is not compared."""
    if not isinstance(ours, torch.Tensor) or not isinstance(theirs, torch.Tensor):
        return ours == theirs
    try:
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    except AssertionError:
        return False
    return True


def _is_rounding(eager: _Eager, name: str, ours: Any, theirs: Any) -> bool:
    """Whether eager itself differs as much when every op rounds a bit differently."""
    if not isinstance(theirs, torch.Tensor) or not isinstance(ours, torch.Tensor):
        return False
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if harness.visible_strides(ours) != harness.visible_strides(theirs):
        return False
    others = [eager.with_noise(seed) for seed in range(16)]
    return noise.explains(ours, theirs, [each[name] for each in others if name in each])


def _check_aliases(eager: _Eager, ours: _Outcome, pointers: list[int]) -> None:
    """Results that share memory with a result or an argument lie at the same distance."""
    theirs = [*eager.results, *eager.arguments]
    mine = [*pointers, *(x.data_ptr() for x in ours.arguments)]
    names = [f"result {i}" for i in range(len(eager.results))]
    names += [f"input {i}" for i in range(len(eager.arguments))]
    for i, result in enumerate(eager.results):
        for j in range(len(theirs)):
            if j == i or not all(_has_elements(x) for x in (result, theirs[j])):
                continue
            a, b = result.untyped_storage(), theirs[j].untyped_storage()
            shared = a.data_ptr() == b.data_ptr()
            if shared:
                wanted = result.data_ptr() - theirs[j].data_ptr()
                got = mine[i] - mine[j]
                assert got == wanted, (
                    f"{names[i]} shares memory with {names[j]} in eager, at a distance of "
                    f"{wanted} bytes, but here the distance is {got}"
                )
            else:
                strides = zip(theirs[j].size(), theirs[j].stride(), strict=True)
                last = sum((n - 1) * s for n, s in strides)
                end = mine[j] + (last + 1) * theirs[j].element_size()
                assert not mine[j] <= mine[i] < end, (
                    f"{names[i]} shares no memory with {names[j]} in eager, but does here"
                )


def _has_elements(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > 0
