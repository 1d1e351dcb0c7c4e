"""Running sums, sorting, and what is read off a sorted dim, against eager PyTorch."""

import harness
import layouts
import optable
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

FLOATS = [torch.float32, torch.float64, torch.bfloat16]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.uint8]

SCANS = {
    "cumsum": lambda x: x.cumsum(1),
    "cumsum_first": lambda x: x.cumsum(0),
    "cumsum_last": lambda x: x.cumsum(-1),
    "cumprod": lambda x: x.cumprod(1),
    "cummax": lambda x: x.cummax(1),
    "cummax_last": lambda x: x.cummax(2),
    "cummin": lambda x: x.cummin(0),
    "of_view": lambda x: x.transpose(0, 2).cumsum(1),
    "fused": lambda x: (x + 1).cumsum(2) * 2,
}
REAL_SCANS = {
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "as_double": lambda x: x.cumsum(1, dtype=torch.float64),
    "of_mask": lambda x: (x > 0).cumsum(1),
    "in_place": lambda x: (x * 1).cumsum_(2),
}
ORDERS = {
    "sort": lambda x: x.sort(stable=True),
    "sort_down": lambda x: x.sort(dim=1, descending=True, stable=True),
    "sort_first": lambda x: torch.sort(x, dim=0, stable=True),
    "argsort": lambda x: x.argsort(dim=1, stable=True),
    "msort": lambda x: x.msort(),
    "topk": lambda x: x.topk(3, sorted=True)[0],
    "topk_least": lambda x: x.topk(2, 1, largest=False)[0],
    "kth": lambda x: x.kthvalue(2)[0],
    "kth_keep": lambda x: x.kthvalue(4, 1, keepdim=True)[0],
    "median": lambda x: x.median(),
    "median_dim": lambda x: x.median(1)[0],
    "median_keep": lambda x: x.median(2, keepdim=True)[0],
    "mode": lambda x: x.mode(1)[0],
    "mode_keep": lambda x: x.mode(2, keepdim=True)[0],
}
REAL_ORDERS = {
    "nanmedian": lambda x: x.nanmedian(),
    "nanmedian_dim": lambda x: x.nanmedian(1)[0],
}
# Without equal elements the indices are determined too.
INDICES = {
    "sort": lambda x: x.sort(),
    "topk": lambda x: x.topk(4, 1),
    "kth": lambda x: x.kthvalue(3, 2),
    "median": lambda x: x.median(1),
    "nanmedian": lambda x: x.nanmedian(2),
}


def with_nan(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[0, 1, 2] = x[1, 0, 1] = x[1, 2, 1] = float("nan")
    x[2, 0, 0], x[2, 0, 1] = float("inf"), -float("inf")
    x[2, 1, :2] = torch.tensor([0.0, -0.0])
    return x


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_floats(tmp_path, dtype):
    x = torch.randn(3, 5, 7, dtype=torch.float64).to(dtype)
    rows = SCANS | REAL_SCANS | {f"o_{k}": v for k, v in (ORDERS | REAL_ORDERS).items()}
    optable.check_rows(tmp_path, rows, (x,), ((x * 2).round(),))
    # Which element is the mode of a line with NaN is not specified.
    rows = {name: row for name, row in rows.items() if "mode" not in name}
    optable.check_rows(tmp_path, rows, (with_nan(x),))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(tmp_path, dtype):
    x = torch.randint(0 if dtype == torch.uint8 else -4, 5, (3, 5, 7)).to(dtype)
    optable.check_rows(tmp_path, SCANS | {f"o_{k}": v for k, v in ORDERS.items()}, (x,))


def test_bools(tmp_path):
    rows = {
        "sort": lambda x: x.sort(dim=1, stable=True),
        "sort_down": lambda x: x.sort(dim=0, descending=True, stable=True),
        "cumsum": lambda x: x.cumsum(0),
        "cummax": lambda x: x.cummax(1),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(4, 9) > 0,))


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_indices(tmp_path, decomposed):
    x = torch.randperm(3 * 5 * 7).reshape(3, 5, 7).float()
    optable.check_rows(tmp_path, INDICES, (x,), decomposed=decomposed)


def test_rank_0_and_1(tmp_path):
    rows = {
        name: row
        for name, row in (SCANS | ORDERS).items()
        if name in ("cumsum_first", "cumsum_last", "sort", "msort", "median", "kth")
    } | {
        "cummax": lambda x: x.cummax(0),
        "median_dim": lambda x: x.median(0),
        "mode": lambda x: x.mode(),
        "topk": lambda x: x.topk(1),
        "kth1": lambda x: x.kthvalue(1, keepdim=True),
    }
    scalar = {name: row for name, row in rows.items() if name != "kth"}
    optable.check_rows(tmp_path, scalar, (torch.tensor(2.5),))
    optable.check_rows(tmp_path, rows, (torch.tensor([3.0, 1.0, 2.0]),))


def test_empty(tmp_path):
    rows = {
        "cumsum": lambda x: x.cumsum(0),
        "cumsum_1": lambda x: x.cumsum(1),
        "sort": lambda x: x.sort(1),
        "topk": lambda x: x.topk(0, 1),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(0, 3),))
    optable.check_rows(tmp_path, rows, (torch.randn(3, 0),))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_layouts(tmp_path_factory, data):
    shape = data.draw(layouts.sizes(1, 4, 9).filter(lambda s: 0 not in s))
    dim = data.draw(st.integers(0, len(shape) - 1))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.int32, torch.int64]))
    x = data.draw(layouts.tensors(shape, dtype))
    rows = {
        "sort": lambda x: x.sort(dim=dim, stable=True),
        "sort_down": lambda x: x.sort(dim=dim, descending=True, stable=True),
        "cumsum": lambda x: x.cumsum(dim),
        "cummin": lambda x: x.cummin(dim),
        "median": lambda x: x.median(dim)[0],
    }
    optable.check_rows(tmp_path_factory.mktemp("order"), rows, (x,))


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 1000, 5000])
def test_long_lines(tmp_path, size):
    rows = {
        "sort": lambda x: x.sort(stable=True),
        "down": lambda x: x.sort(dim=0, descending=True, stable=True),
        "double": lambda x: x.double().sort(dim=1, stable=True),
        "cumsum": lambda x: x.cumsum(1),
        "cumsum_0": lambda x: x.cumsum(0),
    }
    x = (torch.randn(2, size) * 100).round()
    optable.check_rows(tmp_path, rows, (x,))


def test_dynamic_sizes(tmp_path):
    n, m = torch.export.Dim("n", min=3, max=100), torch.export.Dim("m", min=3, max=100)
    rows = {
        "sort": lambda x: x.sort(dim=1, stable=True),
        "topk": lambda x: x.topk(3, 0)[0],
        "cumsum": lambda x: x.cumsum(0),
        "median": lambda x: x.median(1)[0],
    }
    compiled = optable.check_rows(
        tmp_path,
        rows,
        (torch.randn(5, 9),),
        (torch.randn(33, 70),),
        dynamic_shapes=({0: n, 1: m},),
    )
    compiled.check_bits_of_threads(torch.randn(64, 33))


def test_accuracy_of_long_sums(tmp_path):
    x = torch.rand(200_000)
    compiled = harness.compile_module(tmp_path, optable.Function(lambda x: x.cumsum(0)), (x,))
    (ours,) = compiled(x)
    assert torch.equal(ours, x.double().cumsum(0).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32, torch.int64], ids=str)
def test_first_of_long_lines(tmp_path, dtype):
    """Lines long enough that candidates are thinned out many times."""
    x = torch.randperm(4 * 3000).reshape(4, 3000).to(dtype)
    x[1] = torch.arange(3000)
    x[2] = torch.arange(3000).flip(0)
    equal = x.clone()
    equal[3] = 7
    special = x.clone()
    if dtype.is_floating_point:
        special[0, ::50] = torch.nan
        special[3, 5::70] = torch.inf
        special[3, 9::70] = -torch.inf
    rows = {
        "largest": lambda x: x.topk(50)[0],
        "least": lambda x: x.topk(7, largest=False)[0],
        "many": lambda x: x.topk(1600)[0],
        "one": lambda x: x.topk(1)[0],
        "indices": lambda x: x.gather(1, x.topk(90)[1]),
        "across": lambda x: x.mT.topk(40, 0)[0],
        "kth": lambda x: x.kthvalue(77)[0],
    }
    optable.check_rows(tmp_path, rows, (x,), (equal,), (special,))
