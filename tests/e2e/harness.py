"""Exports, compiles and runs modules, and compares every result with eager PyTorch.

The way through the C API (`capi.py`) is the main one, because it takes inputs of any
strides; `run_command` goes through rtorch-run and .npz files, which have row-major and
column-major arrays only.

What counts as right (`assert_like_eager`): sizes, dtype and strides of eager (strides of
dims of size 1 and of empty tensors are not compared); integers and bools exactly; floats
within torch.testing's default tolerances, or with an error against float64 of at most
twice eager's.
"""

import copy
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import capi
import numpy as np
import torch
from torch.utils import _pytree as pytree

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))
os.environ["RTORCH_STORE"] = ""  # tests do not record their runs, unless they say so

# --- commands -----------------------------------------------------------------


def command(name: str, *args: Any, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs one of the tree's commands and returns it whatever its exit status."""
    path = BUILD / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; run tools/dev.sh build")
    words = [str(path), *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)


def succeed(name: str, *args: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command that must exit with 0."""
    done = command(name, *args)
    assert done.returncode == 0, f"{name} exited with {done.returncode}:\n{done.stderr}"
    return done


# --- export and compile -------------------------------------------------------


def export(
    model: torch.nn.Module,
    args: tuple,
    *,
    dynamic_shapes: Any = None,
    decomposed: bool = False,
) -> torch.export.ExportedProgram:
    """The model as a graph: as exported, or decomposed to the core ops."""
    program = torch.export.export(model, args, dynamic_shapes=dynamic_shapes)
    return program.run_decompositions() if decomposed else program


@dataclass
class Compiled:
    """A compiled module beside the eager model that it came from.

    Both keep their own buffers, so a model that changes its buffers can be called
    several times and both must stay the same.
    """

    eager: torch.nn.Module
    program: torch.export.ExportedProgram
    archive: Path
    path: Path
    report: dict[str, Any]
    _instance: capi.Instance | None = field(default=None, repr=False)

    @property
    def instance(self) -> capi.Instance:
        if self._instance is None:
            self._instance = capi.Instance(capi.Module(self.path))
        return self._instance

    def __call__(self, *args: Any, threads: int = 1) -> list[Any]:
        """The flattened results of the compiled module."""
        return self.instance.run(pytree.tree_leaves(args), threads=threads)

    def check_bits_of_threads(self, *args: Any) -> None:
        """Runs on 1, 2, 3 and 4 threads, each time on a new instance: all must agree in
        every bit of results, arguments and buffers.
        """

        def outcome(threads: int) -> list[Any]:
            instance = capi.Instance(self.instance.module)
            leaves = [copy_exactly(leaf) for leaf in pytree.tree_leaves(args)]
            results = instance.run(leaves, threads=threads)
            return [bits(value) for value in (*results, *leaves, *instance.states().values())]

        one = outcome(1)
        for threads in (2, 3, 4):
            for i, (ours, expected) in enumerate(zip(outcome(threads), one, strict=True)):
                assert ours == expected, (
                    f"value {i} (of results, arguments, buffers) has other bits on {threads} "
                    "threads than on one"
                )

    def check(self, *args: Any, threads: int = 1) -> None:
        """Runs both on these arguments and compares results, inputs and buffers after it.

        Whatever the number of threads, the bits are the same.
        """
        self.check_bits_of_threads(*args)
        before = [copy_exactly(a) for a in pytree.tree_leaves(args)]
        ours_args = pytree.tree_map(copy_exactly, args)
        eager_args = pytree.tree_map(copy_exactly, args)
        state = copy.deepcopy(self.eager.state_dict())

        expected = pytree.tree_leaves(_run_eager(self.eager, eager_args))
        actual = self(*ours_args, threads=threads)
        reference = _LazyReference(self.eager, state, before)

        assert len(actual) == len(expected), (
            f"expected {len(expected)} results, but got {len(actual)}"
        )
        for i, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
            assert_like_eager(f"result {i}", ours, theirs, lambda i=i: reference.results()[i])
        ours_leaves = pytree.tree_leaves(ours_args)
        eager_leaves = pytree.tree_leaves(eager_args)
        assert aliases(actual, ours_leaves) == aliases(expected, eager_leaves), (
            "results (first) lie in the memory of other arguments (second) than eager's: "
            f"expected {aliases(expected, eager_leaves)}, but got {aliases(actual, ours_leaves)}"
        )
        pairs = zip(ours_leaves, eager_leaves, strict=True)
        for i, (ours, theirs) in enumerate(pairs):
            if isinstance(theirs, torch.Tensor):
                assert_like_eager(f"input {i} after the run", ours, theirs)
        buffers = dict(self.eager.named_buffers())
        for name, ours in self.instance.states().items():
            assert_like_eager(f"buffer {name} after the run", ours, buffers[name])


def compile_program(
    folder: Path,
    model: torch.nn.Module,
    program: torch.export.ExportedProgram,
    *options: str,
) -> Compiled:
    """Saves the program in `folder` and compiles it there."""
    archive, path = folder / "model.pt2", folder / "model.rtm"
    torch.export.save(program, archive)
    done = succeed("rtorch-compile", archive, "-o", path, "--json", *options)
    return Compiled(copy_model(model), program, archive, path, json.loads(done.stdout))


def compile_module(
    folder: Path,
    model: torch.nn.Module,
    args: tuple,
    *options: str,
    dynamic_shapes: Any = None,
    decomposed: bool = False,
) -> Compiled:
    """Exports and compiles the model for arguments like `args`."""
    program = export(model, args, dynamic_shapes=dynamic_shapes, decomposed=decomposed)
    return compile_program(folder, model, program, *options)


def check_module(
    folder: Path,
    model: torch.nn.Module,
    args: tuple,
    *more_args: tuple,
    dynamic_shapes: Any = None,
    both_forms: bool = True,
) -> None:
    """Compiles the model as exported (and decomposed) and compares it on `args` and more."""
    for decomposed in (False, True) if both_forms else (False,):
        compiled = compile_module(
            folder, model, args, dynamic_shapes=dynamic_shapes, decomposed=decomposed
        )
        for each in (args, *more_args):
            compiled.check(*each)


# --- through rtorch-run -------------------------------------------------------


def to_numpy(value: Any) -> np.ndarray:
    """As rtorch-run wants it: bfloat16 as its bits, numbers as 0-d arrays."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    if value.dtype == torch.bfloat16:
        return value.view(torch.uint16).numpy()
    return value.detach().numpy()


def run_command(
    compiled: Compiled, args: Sequence[Any], *options: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Results and the --json report of rtorch-run for these arguments."""
    folder = compiled.path.parent
    inputs = {f"arg_{i}": to_numpy(leaf) for i, leaf in enumerate(pytree.tree_leaves(args))}
    np.savez(folder / "in.npz", **inputs)
    done = succeed(
        *("rtorch-run", compiled.path, "--inputs", folder / "in.npz"),
        *("--outputs", folder / "out.npz", "--json", *options),
    )
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays), json.loads(done.stdout)


# --- guarantees of the runtime ---------------------------------------------------


def measure(
    check: str,
    module: Path,
    calls: Sequence[tuple],
    *,
    env: dict[str, str] | None = None,
    **options: Any,
) -> dict[str, float]:
    """What tests/guarantees measures of a module with the arguments of these calls."""
    inputs = []
    for i, args in enumerate(calls):
        inputs.append(module.parent / f"call_{i}.npz")
        leaves = {f"arg_{j}": to_numpy(leaf) for j, leaf in enumerate(pytree.tree_leaves(args))}
        np.savez(inputs[-1], **leaves)
    words = [str(word) for word in (BUILD / "tests" / "rtorch-guarantees", check, module, *inputs)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | (env or {}),
        **options,
    )
    assert done.returncode == 0, f"{words} exited with {done.returncode}:\n{done.stderr}"
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: float(number) for name, number in lines}


# --- comparison ---------------------------------------------------------------


def copy_exactly(value: Any) -> Any:
    """A copy with the same strides, offset and storage size; not tensors: themselves."""
    if not isinstance(value, torch.Tensor):
        return value
    storage = value.untyped_storage().clone()
    copied = torch.empty(0, dtype=value.dtype)
    copied.set_(storage, value.storage_offset(), value.size(), value.stride())
    return copied


def bits(value: Any) -> Any:
    """What two values have in common only if all their bits are the same."""
    if not isinstance(value, torch.Tensor):
        return repr(value)
    return to_numpy(value).tobytes()


def copy_model(model: torch.nn.Module) -> torch.nn.Module:
    """A deep copy in which parameters keep their strides, offsets and shared storages.

    copy.deepcopy makes them dense.
    """
    memo: dict[int, Any] = {}
    storages: dict[int, torch.UntypedStorage] = {}
    for parameter in model.parameters():
        old = parameter.untyped_storage()
        storage = storages.setdefault(old.data_ptr(), old.clone())
        copied = torch.empty(0, dtype=parameter.dtype)
        copied.set_(storage, parameter.storage_offset(), parameter.size(), parameter.stride())
        memo[id(parameter)] = torch.nn.Parameter(copied, requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo)


def _run_eager(model: torch.nn.Module, args: Sequence[Any]) -> Any:
    with torch.no_grad():
        return model(*args)


class _LazyReference:
    """Eager's results in float64, computed only if a comparison asks for them."""

    def __init__(self, model: torch.nn.Module, state: dict, leaves: list[Any]):
        self._model, self._state, self._leaves = model, state, leaves
        self._results: list[Any] | None = None

    def results(self) -> list[Any]:
        if self._results is None:
            model = copy_model(self._model)
            model.load_state_dict(self._state)
            args = [_to_double(leaf) for leaf in self._leaves]
            self._results = pytree.tree_leaves(_run_eager(model.double(), args))
        return self._results


def _to_double(value: Any) -> Any:
    is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.double() if is_float else value


def assert_like_eager(
    name: str, actual: Any, expected: Any, reference: Callable[[], Any] | None = None
) -> None:
    """Fails unless `actual` is what eager gave; `reference` gives the float64 result."""
    if not isinstance(expected, torch.Tensor):
        assert actual == expected, f"{name}: expected {expected!r}, but got {actual!r}"
        return
    assert isinstance(actual, torch.Tensor), f"{name}: expected a tensor, but got {actual!r}"
    assert actual.dtype == expected.dtype, (
        f"{name}: expected {expected.dtype}, but got {actual.dtype}"
    )
    assert actual.shape == expected.shape, (
        f"{name}: expected sizes {list(expected.shape)}, but got {list(actual.shape)}"
    )
    assert visible_strides(actual) == visible_strides(expected), (
        f"{name}: expected strides {list(expected.stride())} for sizes "
        f"{list(expected.shape)}, but got {list(actual.stride())}"
    )
    assert_values(name, actual, expected, reference)


def aliases(results: list[Any], arguments: list[Any]) -> list[tuple[int, int]]:
    """Which result (first) lies in the memory of which argument (second)."""
    return [
        (i, j)
        for i, result in enumerate(results)
        for j, argument in enumerate(arguments)
        if isinstance(result, torch.Tensor)
        and isinstance(argument, torch.Tensor)
        and result.numel() > 0
        and result.untyped_storage().data_ptr() == argument.untyped_storage().data_ptr()
    ]


def visible_strides(tensor: torch.Tensor) -> list[int]:
    """The strides that matter: of dims of two or more elements, where there are any."""
    if tensor.numel() == 0:
        return []
    return [s for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n >= 2]


def assert_values(
    name: str,
    actual: torch.Tensor,
    expected: torch.Tensor,
    reference: Callable[[], torch.Tensor] | None = None,
) -> None:
    if not expected.is_floating_point():
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, msg=lambda m: f"{name}: {m}")
        return
    try:
        torch.testing.assert_close(actual, expected, equal_nan=True, msg=lambda m: f"{name}: {m}")
    except AssertionError:
        if reference is None or not _at_most_twice_the_error(actual, expected, reference()):
            raise


def _at_most_twice_the_error(
    actual: torch.Tensor, expected: torch.Tensor, reference: torch.Tensor
) -> bool:
    finite = expected.isfinite()
    same_special = torch.equal(
        torch.where(finite, 0, expected).nan_to_num(nan=0.5),
        torch.where(finite, 0, actual).nan_to_num(nan=0.5),
    )
    if not same_special or not bool(actual[finite].isfinite().all()):
        return False
    if not bool(finite.any()):
        return True
    ours = (actual.double() - reference)[finite].abs().max()
    theirs = (expected.double() - reference)[finite].abs().max()
    return bool(ours <= 2 * theirs)
