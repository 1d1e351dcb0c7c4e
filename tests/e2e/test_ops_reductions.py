"""Reductions, softmax and normalizations against eager PyTorch."""

import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

INF, NAN = float("inf"), float("nan")
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def reductions(dims) -> dict[str, optable.Row]:
    """Rows that reduce `dims`; None reduces all."""
    some = {} if dims is None else {"dim": dims}
    return {
        "sum": lambda x: x.sum(**some),
        "sum_keep": lambda x: x.sum(dims, keepdim=True),
        "mean": lambda x: x.mean(dims),
        "amax": lambda x: x.amax(**some),
        "amin_keep": lambda x: x.amin(**some, keepdim=True),
        "var": lambda x: x.var(dims, correction=0),
        "std": lambda x: x.std(dims),
        "any": lambda x: (x > 1).any(**some),
        "all": lambda x: (x > -1).all(**some),
        "norm": lambda x: torch.linalg.vector_norm(x, 2, dims),
        "norm_1": lambda x: torch.linalg.vector_norm(x, 1, dims),
        "norm_inf": lambda x: torch.linalg.vector_norm(x, INF, dims),
        "norm_3": lambda x: torch.linalg.vector_norm(x, 3, dims),
        "var_mean": lambda x: torch.var_mean(x, dims, keepdim=True),
        "used": lambda x: (x - x.mean(dims, keepdim=True)).exp() / x.std(dims, keepdim=True),
    }


def of_one_dim(dim: int) -> dict[str, optable.Row]:
    return {
        "softmax": lambda x: x.softmax(dim),
        "log_softmax": lambda x: x.log_softmax(dim),
        "softmax_scaled": lambda x: (x * 0.5 + 1).softmax(dim) * 3,
        "prod": lambda x: (x * 0.5).prod(dim),
        "argmax": lambda x: x.argmax(dim),
        "argmin_keep": lambda x: x.argmin(dim, keepdim=True),
        "max": lambda x: tuple(x.max(dim)),
        "min": lambda x: tuple(x.min(dim)),
        "logsumexp": lambda x: x.logsumexp(dim),
        "median_like": lambda x: x.amax(dim) - x.amin(dim),
        "softmax_double": lambda x: x.softmax(dim, dtype=torch.float64),
    }


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dims", [None, [1], [0, 2], [0, 1]], ids=str)
def test_reductions(tmp_path, dtype, dims):
    if dtype not in FLOATS[:1] and dims not in (None, [1]):
        pytest.skip("one layout of dims is enough for the other dtypes")
    rows = reductions(dims) | (of_one_dim(dims[0]) if dims and len(dims) == 1 else {})
    optable.check_rows(tmp_path, rows, (layouts.values([5, 7, 19], dtype, 2),))


@pytest.mark.parametrize("dim", [0, 2])
def test_reductions_decomposed(tmp_path, dim):
    rows = reductions([dim]) | of_one_dim(dim)
    optable.check_rows(tmp_path, rows, (torch.randn(5, 7, 19),), decomposed=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(7, 5, 19).permute(1, 2, 0),
        lambda: torch.randn(5, 14, 38)[:, ::2, ::2],
        lambda: torch.randn(5, 1, 19).expand(5, 7, 19),
        lambda: torch.randn(5, 1, 1),
        lambda: torch.randn(1, 3, 1),
        lambda: torch.randn(300, 2, 2),
    ],
    ids=["permuted", "strided", "expanded", "ones", "one", "tall"],
)
@pytest.mark.parametrize("dims", [[0], [2], [1, 2]], ids=str)
def test_layouts_of_reductions(tmp_path, make, dims):
    names = ["sum", "mean", "amax", "any", "norm", "used", "var"]
    rows = {name: row for name, row in reductions(dims).items() if name in names}
    if len(dims) == 1:
        rows |= {n: r for n, r in of_one_dim(dims[0]).items() if n in ("softmax", "argmax", "max")}
    optable.check_rows(tmp_path, rows, (make(),))


@given(st.data())
def test_sums_of_any_dims(tmp_path_factory, data):
    shape = data.draw(layouts.sizes(min_rank=1, max_rank=5, max_size=11))
    dims = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True, min_size=1))
    x = data.draw(layouts.tensors(shape))
    rows = {
        "sum": lambda x: x.sum(dims),
        "kept": lambda x: x.sum(dims, keepdim=True) + x,
        "mean": lambda x: x.mean(dims),
        "all": lambda x: (x > 0).all(dims[0]),
        "softmax": lambda x: x.softmax(dims[0]),
    }
    optable.check_rows(tmp_path_factory.mktemp("m"), rows, (x,))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool], ids=str)
def test_integers(tmp_path, dtype):
    x = layouts.values([6, 21], dtype, 1)
    rows = {
        "sum": lambda x: x.sum(1),
        "all_summed": torch.sum,
        "prod": lambda x: x[:, :5].prod(1),
        "amax": lambda x: x.amax(0),
        "amin": lambda x: x.amin(1),
        "any": lambda x: x.any(1),
        "all": lambda x: x.all(0),
        "sum_int32": lambda x: x.sum(1, dtype=torch.int32),
        "mean": lambda x: x.mean(1, dtype=torch.float32),
    }
    if dtype != torch.bool:
        rows |= {"argmax": lambda x: x.argmax(1), "max": lambda x: tuple(x.max(0))}
    optable.check_rows(tmp_path, rows, (x,))


def test_special_values(tmp_path):
    x = torch.tensor(
        [
            [-INF, -INF, -INF],
            [INF, 1.0, 2.0],
            [NAN, 1.0, 2.0],
            [1.0, NAN, INF],
            [-INF, 0.0, 1.0],
            [0.0, -0.0, 0.0],
        ]
    )
    names = ["sum", "mean", "amax", "amin_keep", "any", "all", "norm_inf"]
    rows = {n: r for n, r in reductions([1]).items() if n in names} | of_one_dim(1)
    del rows["median_like"]
    optable.check_rows(tmp_path, rows, (x,), (x.flip(1),))


def test_empty_dims(tmp_path):
    rows = {
        "sum": lambda x: x.sum(1),
        "mean": lambda x: x.mean(1),
        "prod": lambda x: x.prod(1),
        "any": lambda x: x.bool().any(1),
        "all": lambda x: x.bool().all(1),
        "over_the_rest": lambda x: x.amax(0),
        "softmax": lambda x: x.softmax(1),
        "var": lambda x: x.var(1),
        "norm": lambda x: torch.linalg.vector_norm(x, 2, 1),
        "everything": torch.sum,
    }
    optable.check_rows(tmp_path, rows, (torch.randn(3, 0),))


def test_rank_0(tmp_path):
    rows = {
        "sum": torch.sum,
        "mean": torch.mean,
        "amax": torch.amax,
        "softmax": lambda x: x.softmax(0),
        "argmax": torch.argmax,
        "norm": lambda x: torch.linalg.vector_norm(x),
        "prod": torch.prod,
        "any": lambda x: x.bool().any(),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(()),))


def test_long_sums_keep_their_accuracy(tmp_path):
    x = torch.rand(1_000_003)
    rows = {
        "sum": torch.sum,
        "mean": torch.mean,
        "var": torch.var,
        "norm": torch.linalg.vector_norm,
        "dims": lambda x: x[:999_936].view(84, 62, 192).sum([0, 1, 2]),
        "outer": lambda x: x[:999_936].view(-1, 4).sum(0),
        "strided": lambda x: x[:999_999].view(-1, 3).t().sum(1),
        "middle": lambda x: x[:999_936].view(192, 2604, 2).mean(1),
        "softmax": lambda x: x.softmax(0),
    }
    compiled = optable.check_rows(tmp_path, rows, (x,))
    total, exact = compiled(x)[0].double(), x.double().sum()
    assert abs(total - exact) / exact < 3e-7


def test_dynamic_sizes(tmp_path):
    n, m = Dim("n", min=1, max=2000), Dim("m", min=1, max=2000)
    rows = (
        reductions([1]) | of_one_dim(1) | {"all_summed": torch.sum, "columns": lambda x: x.sum(0)}
    )
    make = torch.randn
    sizes = [(2, 2), (2, 100), (9, 8), (3, 1999), (1500, 5)]
    optable.check_rows(
        tmp_path, rows, (make(4, 6),), *((make(*each),) for each in sizes),
        dynamic_shapes=({0: n, 1: m},),
    )  # fmt: skip


# --- normalizations -----------------------------------------------------------


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_normalizations(tmp_path, dtype, decomposed):
    w, b = (layouts.values([20], dtype, seed) for seed in (1, 2))
    rows = {
        "layer_norm": lambda x, w, b: F.layer_norm(x, [20], w, b),
        "layer_norm_plain": lambda x, w, b: F.layer_norm(x, [20]),
        "layer_norm_weight": lambda x, w, b: F.layer_norm(x, [20], w, None, 1e-3),
        "layer_norm_two": lambda x, w, b: F.layer_norm(x, [6, 20]),
        "layer_norm_permuted": lambda x, w, b: F.layer_norm(x.transpose(0, 1), [20], w, b),
        "group_norm": lambda x, w, b: F.group_norm(x.transpose(1, 2), 4, w, b),
        "group_norm_plain": lambda x, w, b: F.group_norm(x, 3),
        "batch_norm": lambda x, w, b: F.batch_norm(x.transpose(1, 2), b, w.abs() + 0.1, w, b),
        "residual": lambda x, w, b: F.layer_norm(x + x.relu(), [20], w, b) + x,
    }
    if not decomposed:
        rows["rms_norm"] = lambda x, w, b: F.rms_norm(x, [20], w, 1e-6)
    optable.check_rows(
        tmp_path, rows, (layouts.values([4, 6, 20], dtype, 3), w, b), decomposed=decomposed
    )


def test_normalizations_of_odd_sizes(tmp_path):
    rows = {
        "one": lambda x, y, z: F.layer_norm(x, [1]),
        "row": lambda x, y, z: F.layer_norm(y, [1031]),
        "offset": lambda x, y, z: F.layer_norm(y + 1000, [1031]),
        "no_rows": lambda x, y, z: F.layer_norm(z, [8]),
        "permuted": lambda x, y, z: F.layer_norm(y.t(), [3]),
    }
    operands = torch.randn(5, 1), torch.randn(3, 1031), torch.randn(0, 8)
    optable.check_rows(tmp_path, rows, operands)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_rows_over_permuted_dims_are_kept_between_their_walks(tmp_path, dtype):
    """A row is kept in the order in which the operand's memory is walked: no two of its elements
    may get one place, whichever reduced dim runs fastest."""

    def soft(x):
        y = x / (x.abs() + 1)
        return torch.add(y, y.sum([0, 1, 2]), alpha=2)

    x = torch.randn(99 * 5).to(dtype).as_strided([33, 3, 5], [3, 1, 99])
    harness.check_module(tmp_path, optable.Function(soft), (x,))
