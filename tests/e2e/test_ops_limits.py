"""Programs at the edges: deep, wide, empty, of many inputs, of dtypes nobody computes in."""

import time

import harness
import optable
import pytest
import torch
import torch.nn.functional as F


def check(tmp_path, function, *args, **options) -> None:
    harness.check_module(tmp_path, optable.Function(function), args, **options)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_a_deep_chain(tmp_path, decomposed):
    def function(x):
        for i in range(200):
            x = (x * 1.01 + 0.1 * i).sin() if i % 3 else x - 0.5
        return x

    program = harness.export(
        optable.Function(function), (torch.randn(7, 9),), decomposed=decomposed
    )
    start = time.monotonic()
    compiled = harness.compile_program(tmp_path, optable.Function(function), program)
    assert time.monotonic() - start < 60
    compiled.check(torch.randn(7, 9))


def test_a_chain_whose_values_are_used_twice(tmp_path):
    """2^60 paths from the result to the input."""

    def function(x):
        for _ in range(60):
            x = x.tanh() + x * 0.5
        return x, x.sum(1)

    check(tmp_path, function, torch.randn(5, 8))


def test_views_of_values_used_twice(tmp_path):
    def function(x):
        for _ in range(24):
            x = x.t() * 0.4 + x * 0.5
        return x

    check(tmp_path, function, torch.randn(6, 6))


def test_reductions_that_need_each_other(tmp_path):
    def function(x):
        for _ in range(12):
            x = x - x.mean(1, keepdim=True) * x.amax(1, keepdim=True)
        return x.softmax(1), x.sum(0), x.var(1)

    check(tmp_path, function, torch.randn(5, 33) * 0.1)


def test_many_consumers(tmp_path):
    def function(x):
        y = (x @ x.t()).exp()
        return [y + i for i in range(12)] + [y.sum(0), y.sum(1), y.softmax(0), y @ x, y.t() * 2]

    check(tmp_path, function, torch.randn(9, 11) * 0.2)


def test_cat_of_many_inputs(tmp_path):
    def function(*xs):
        return torch.cat(xs, 1), torch.cat([x * 2 for x in xs], 0)

    check(tmp_path, function, *(torch.randn(3, 2) for _ in range(70)))


def test_many_arguments_and_results(tmp_path):
    check(tmp_path, lambda *xs: [x + i for i, x in enumerate(xs)], *torch.randn(100, 3))


def test_empty_tensors(tmp_path):
    rows = {
        "pointwise": lambda x, y: (x * 2).exp(),
        "broadcast": lambda x, y: x + y[:, :1],
        "cat": lambda x, y: torch.cat([x, x], 1),
        "cat_with": lambda x, y: torch.cat([x.t(), y.t()], 0).t(),
        "sum": lambda x, y: x.sum(0),
        "sum_empty": lambda x, y: x.sum(1),
        "softmax": lambda x, y: x.softmax(0),
        "layer_norm": lambda x, y: F.layer_norm(y[:0], [5]),
        "matmul": lambda x, y: x.t() @ y,
        "view": lambda x, y: x.reshape(0, 4),
        "copy": lambda x, y: x.clone(),
        "input": lambda x, y: x,
        "flip": lambda x, y: x.flip(0),
        "index": lambda x, y: y[torch.zeros(0, dtype=torch.int64)],
        "embedding": lambda x, y: F.embedding(torch.zeros(2, 0, dtype=torch.int64), y),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(3, 0), torch.randn(3, 5)))


def test_rank_0(tmp_path):
    rows = {
        "add": lambda x, y: x + y,
        "broadcast": lambda x, y: x * torch.ones(3) + y,
        "view": lambda x, y: x.view(1, 1) + 1,
        "expand": lambda x, y: x.expand(2, 3) * 2,
        "stack": lambda x, y: torch.stack([x, y]),
        "where": lambda x, y: torch.where(x > y, x, y),
        "item_like": lambda x, y: (x > 0).to(torch.int64) + 1,
        "softmax": lambda x, y: x.softmax(0),
        "sum": lambda x, y: x.sum() + y.mean(),
        "same": lambda x, y: x,
    }
    optable.check_rows(tmp_path, rows, (torch.randn(()), torch.randn(())))


def test_high_ranks(tmp_path):
    shape = [2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 3]
    rows = {
        "add": lambda x: x + x.flip(0),
        "permute": lambda x: x.permute(*reversed(range(12))).contiguous(),
        "sum": lambda x: x.sum([0, 4, 11]),
        "softmax": lambda x: x.softmax(4),
        "reshape": lambda x: x.transpose(0, 11).reshape(4, -1),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(shape),))


class Results(torch.nn.Module):
    """No computation at all."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(2, 3))

    def forward(self, x, n):
        return x, self.weight, torch.tensor(3), n, None, "text", x.t()


def test_a_program_that_computes_nothing(tmp_path):
    harness.check_module(tmp_path, Results(), (torch.randn(3, 4), 7))


# --- dtypes -------------------------------------------------------------------

SUPPORTED = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip
REFUSED = [
    torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.float8_e4m3fn,
    torch.float8_e5m2,
]  # fmt: skip


@pytest.mark.parametrize("dtype", SUPPORTED, ids=str)
def test_every_dtype_is_moved(tmp_path, dtype):
    x = torch.arange(24).view(4, 6).to(dtype)
    rows = {
        "copy": lambda x: x.t().contiguous(),
        "cat": lambda x: torch.cat([x, x]),
        "where": lambda x: torch.where(x == 1, x, x.flip(0)),
        "view": lambda x: x[1:, ::2],
        "index": lambda x: x[torch.tensor([2, 0])],
        "full": lambda x: torch.full_like(x, 1),
        "float": lambda x: x.float() + 1,
    }
    optable.check_rows(tmp_path, rows, (x,))


@pytest.mark.parametrize("dtype", REFUSED, ids=str)
def test_other_dtypes_are_refused(tmp_path, dtype):
    class Copy(torch.nn.Module):
        def forward(self, x):
            return x.clone()

    program = torch.export.export(Copy(), (torch.zeros(4, dtype=dtype),))
    torch.export.save(program, tmp_path / "m.pt2")
    done = harness.command("rtorch-compile", tmp_path / "m.pt2", "-o", tmp_path / "m.rtm")
    assert done.returncode == 1
    assert str(dtype).removeprefix("torch.") in done.stderr.lower()
    assert not (tmp_path / "m.rtm").exists()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.half() @ x.half().t(),
        lambda x: x.long() @ x.long().t(),
        lambda x: F.linear(x.int(), x.int()),
        lambda x: x.bfloat16().exp() + x.byte(),
    ],
    ids=["half_mm", "long_mm", "int_linear", "mixed"],
)
def test_dtypes_of_products_work_or_are_refused(tmp_path, function):
    model, x = optable.Function(function), torch.randn(4, 6) * 3
    program = harness.export(model, (x.abs(),))
    torch.export.save(program, tmp_path / "m.pt2")
    done = harness.command("rtorch-compile", tmp_path / "m.pt2", "-o", tmp_path / "m.rtm")
    if done.returncode == 0:
        harness.compile_program(tmp_path, model, program).check(x.abs())
    else:
        assert done.returncode == 1
        assert "optable.py" in done.stderr  # the node's source
