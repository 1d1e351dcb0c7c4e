"""Runs PyTorch's own database of ops (OpInfo) through the compiler, in float32.

Each entry's samples are compiled and compared with eager: the op itself and, with
--gradients, the forward and backward graphs that AOTAutograd makes of it. An entry is

- native: every sample compiled whole and agreed with eager,
- refused: the compiler said of some sample what it lacks, and no sample was wrong,
- wrong: some sample's results differ from eager's,
- crashed: a process died,
- slow: it did not end in the time it was given,
- unexportable: PyTorch's exporter or AOTAutograd does not take it.

    python tests/opinfo/run.py                      # all entries
    python tests/opinfo/run.py --only softmax add   # those whose names contain a word
    python tests/opinfo/run.py --gradients --samples 2

Prints a line for each entry that is not native, and the counts; the exit status is 1 if
any was wrong or crashed.
"""

import argparse
import collections
import contextlib
import logging
import os
import pickle
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import harness
import torch
import training
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

STATES = ("native", "refused", "wrong", "crashed", "slow", "unexportable")

# What eager itself gives anew at each call, does not define, or has not on a CPU.
UNDEFINED = ("empty", "new_empty", "rand", "bernoulli", "normal", "multinomial", "uniform")
UNDEFINED += ("jiterator", "dropout", "cauchy", "exponential", "geometric", "log_normal", "rrelu")


class Sample(torch.nn.Module):
    """An op with everything but its tensors filled in."""

    def __init__(self, op: Callable, sample: Any):
        super().__init__()
        self.op = op
        leaves, self.spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.given = [isinstance(leaf, torch.Tensor) for leaf in leaves]
        self.leaves = [
            None if given else leaf for leaf, given in zip(leaves, self.given, strict=True)
        ]
        self.wanted = [x.requires_grad for x in leaves if isinstance(x, torch.Tensor)]
        self.tensors = tuple(x.detach() for x in leaves if isinstance(x, torch.Tensor))

    def forward(self, *tensors: torch.Tensor) -> list[Any]:
        waiting = iter(tensors)
        places = zip(self.leaves, self.given, strict=True)
        leaves = [next(waiting) if given else leaf for leaf, given in places]
        first, args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        results = pytree.tree_leaves(self.op(first, *args, **kwargs))
        return [r for r in results if isinstance(r, torch.Tensor)]


def verdict(check: Callable[[Path], None]) -> tuple[str, str]:
    """The state of one comparison, and what was said about it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(Path(folder))
        except AssertionError as error:
            text = str(error)
            if text.startswith("Please convert all Tensors to FakeTensors"):  # sparse ones
                return "unexportable", text
            if not text.startswith("rtorch-compile exited with"):
                return "wrong", text
            code = int(text.split("exited with ")[1].split(":")[0])
            return ("refused" if code == 1 else "crashed"), text
        except Exception as error:
            return "unexportable", f"{type(error).__name__}: {error}"
    return "native", ""


def check_forward(module: Sample) -> Callable[[Path], None]:
    """Compares the op itself."""

    def check(folder: Path) -> None:
        program = torch.export.export(module, module.tensors, strict=False)
        compiled = harness.compile_program(folder, module, program)
        expected = module(*map(harness.copy_exactly, module.tensors))
        actual = compiled(*map(harness.copy_exactly, module.tensors))
        wide = [t.double() if t.is_floating_point() else t for t in module.tensors]
        for i, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
            harness.assert_like_eager(f"result {i}", ours, theirs, lambda i=i: module(*wide)[i])

    return check


def check_gradient(module: Sample) -> Callable[[Path], None]:
    """Compares the forward and backward graphs."""

    def function(*tensors: torch.Tensor) -> list[torch.Tensor]:
        return module(*tensors)

    return lambda folder: training.of_function(
        function, module.tensors, wanted=module.wanted
    ).check(folder)


def states_of(op: Any, options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(state, what was compared, message) of the samples of an entry."""
    found = []
    samples = op.sample_inputs("cpu", torch.float32, requires_grad=op.supports_autograd)
    for i, sample in zip(range(options.samples), samples, strict=False):
        module = Sample(op.op, sample)
        found.append((f"sample {i}", *verdict(check_forward(module))))
        if options.gradients and any(module.wanted):
            found.append((f"gradient {i}", *verdict(check_gradient(module))))
    return [(state, what, message) for what, state, message in found]


def apart(run: Callable[[], Any], seconds: int) -> Any:
    """What `run` gives in a process of its own; the name of a state if that dies."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(seconds)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 2)
        with os.fdopen(writing, "wb") as out:
            pickle.dump(run(), out)
            out.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(child, 0)
    if data:
        return pickle.loads(data)
    late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    return "slow" if late else "crashed"


def entries(only: list[str]) -> Iterator[Any]:
    """Entries of float32 that give the same numbers at each call."""
    for op in op_db:
        if torch.float32 not in op.dtypes or any(word in op.name for word in UNDEFINED):
            continue
        if not only or any(word in op.name for word in only):
            yield op


def worst(states: list[tuple[str, str, str]]) -> tuple[str, str, str]:
    """The one that decides the entry's state."""
    order = ("wrong", "refused", "unexportable", "native")
    return min(states, key=lambda s: order.index(s[0]), default=("native", "", ""))


def run(options: argparse.Namespace) -> collections.Counter:
    """Counts of entries by state; lines for those that are not native."""
    counts: collections.Counter = collections.Counter()
    for op in entries(options.only):
        name = op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")
        states = apart(lambda op=op: states_of(op, options), options.seconds)
        state, what, message = worst(states) if isinstance(states, list) else (states, "", "")
        counts[state] += 1
        if state != "native" or options.verbose:
            text = " ".join(message.split())[: options.width]
            print(f"{state:12} {name}: {what} {text}", flush=True)
    return counts


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD")
    parser.add_argument("--samples", type=int, default=4, help="of each entry")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--seconds", type=int, default=120, help="for each entry")
    parser.add_argument("--width", type=int, default=200, help="of messages")
    parser.add_argument("--verbose", action="store_true", help="native entries, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        counts = run(options)
    print("  ".join(f"{state}: {counts[state]}" for state in STATES))
    return 1 if counts["wrong"] or counts["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main())
