"""Reading and writing at places that are data, against eager PyTorch."""

import capi
import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor


def put(x, at, value, **options):
    return x.clone().index_put_(at, value, **options)


READS = {
    "rows": lambda x, i, j: x[i],
    "two": lambda x, i, j: x[i, j],
    "two_apart": lambda x, i, j: x[i, :, j],
    "inner": lambda x, i, j: x[:, j],
    "inner_two": lambda x, i, j: x[:, i, j],
    "broadcast": lambda x, i, j: x[i[:, None], j[None, :]],
    "negative": lambda x, i, j: x[-i - 1, j - 6],
    "with_slice": lambda x, i, j: x[i, 1:, ::2],
    "with_none": lambda x, i, j: x[None, i, None, j],
    "scalar_index": lambda x, i, j: x[2, j],
    "int32": lambda x, i, j: x[i.int()],
    "gather0": lambda x, i, j: x.gather(0, i[:, None, None].expand(-1, 6, 3)),
    "gather2": lambda x, i, j: x.gather(2, (x[:, :, :3] > 0).long()),
    "take": lambda x, i, j: x.take(i * 7 - 3),
    "take_along": lambda x, i, j: x.take_along_dim(x.argmax(1, keepdim=True), 1),
    "take_along_flat": lambda x, i, j: x.take_along_dim(i * 3),
    "index_select": lambda x, i, j: x.index_select(1, j),
    "select_0d": lambda x, i, j: x[0, 0, 0].index_select(0, i[:1] * 0),
    "fused": lambda x, i, j: (x[i] * 2 + x[j % 4]).relu(),
    "embedding": lambda x, i, j: F.embedding(j, x[0]),
}
WRITES = {
    "put": lambda x, i, j: put(x, (i,), x[0] + 1),
    "put_two": lambda x, i, j: put(x, (i, j), tensor(2.0)),
    "put_values": lambda x, i, j: put(x, (tensor([3, 1]), tensor([0, -1])), x[:2, 0]),
    "put_apart": lambda x, i, j: torch.ops.aten.index_put(
        x, [tensor([2, 0]), None, tensor([1, 4])], x[:2, :, 0]
    ),
    "put_none": lambda x, i, j: torch.ops.aten.index_put(x, [None, j], x[:, :4] * 2),
    "accumulate": lambda x, i, j: put(x, (tensor([1, 1, 1, -3]),), x[:4], accumulate=True),
    "assign": lambda x, i, j: assign(x, i, 3.0),
    "masked": lambda x, i, j: put(x, (x > 0,), tensor(-1.0)),
    "masked_rows": lambda x, i, j: put(x, (x[:, 0, 0] > 0,), x[0]),
    "masked_inner": lambda x, i, j: torch.ops.aten.index_put(x, [None, x[0] > 0], tensor([0.5])),
    "masked_add": lambda x, i, j: put(x, (x > 0,), tensor(-1.0), accumulate=True),
    "index_add": lambda x, i, j: x.index_add(1, j, x[:, : len(j)], alpha=2),
    "index_copy": lambda x, i, j: x.index_copy(0, tensor([2, 0]), x[1:3] * 3),
    "index_fill": lambda x, i, j: x.index_fill(1, tensor([0, -1]), 7.0),
    "index_fill_tensor": lambda x, i, j: x.index_fill(2, tensor([1]), tensor(1.5)),
    "scatter": lambda x, i, j: x.scatter(0, (x[:2] > 0).long() * 2, x[1:3] + 1),
    "scatter_last": lambda x, i, j: x.scatter(2, x.argsort(2)[:, :4, :5], x * 2),
    "scatter_value": lambda x, i, j: x.scatter(1, x.argmax(1, keepdim=True), 9.0),
    "scatter_add": lambda x, i, j: x.scatter_add(1, (x > 0).long(), x),
    "scatter_add_": lambda x, i, j: torch.zeros(5, 3).scatter_add_(
        0, x[:, :3, 0].argsort(0), x[0, :4, :3]
    ),
    "scatter_multiply": lambda x, i, j: x.scatter(
        2, (x[:, :, :2] > 0).long(), x, reduce="multiply"
    ),
    "masked_scatter": lambda x, i, j: x.masked_scatter(x > 0, x * 10),
    "masked_scatter_rows": lambda x, i, j: x.masked_scatter(x[:, :1, :1] > 0, x + 1),
    "put_flat": lambda x, i, j: x.put(tensor([0, -1, 17]), tensor([1.0, 2.0, 3.0])),
    "put_flat_add": lambda x, i, j: x.put(
        tensor([0, 0, 17]), tensor([1.0, 2.0, 3.0]), accumulate=True
    ),
    "slice_scatter": lambda x, i, j: torch.slice_scatter(x, x[:, :2] + 1, 1, 1, 5, 2),
    "diagonal_scatter": lambda x, i, j: torch.diagonal_scatter(x[:, :4, 0], x[0, :4, 1]),
    "one_hot": lambda x, i, j: torch.zeros(4, 6).scatter_(1, j[:, None], 1.0),
    "fused": lambda x, i, j: (x + 1).index_add(0, i, (x * 2)[: len(i)]).relu(),
}
REDUCES = {
    f"{reduce}_{include}": (
        lambda x, i, j, r=reduce, s=include: x.scatter_reduce(
            1, (x > 0).long(), x * 2, r, include_self=s
        )
    )
    for reduce in ("sum", "prod", "mean", "amax", "amin")
    for include in (True, False)
} | {
    f"index_{reduce}": (
        lambda x, i, j, r=reduce: x.index_reduce(0, i, x[: len(i)], r, include_self=False)
    )
    for reduce in ("prod", "mean", "amax", "amin")
}


def assign(x, i, value):
    x = x.clone()
    x[i, 1:3] = value
    return x


def operands(dtype=torch.float32):
    x = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(3))
    x = (x * 4).to(dtype)
    return x, tensor([0, 3, 1, 1]), tensor([4, 0, 2, 2])


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64], ids=str
)
def test_reads(tmp_path, dtype):
    optable.check_rows(tmp_path, READS, operands(dtype))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        lambda x: torch.cat([x, x])[::2, :, :],
    ],
    ids=["permuted", "sliced"],
)
def test_reads_of_layouts(tmp_path, make):
    x, i, j = operands()
    rows = {name: row for name, row in READS.items() if name != "take_along_flat"}
    optable.check_rows(tmp_path, rows, (make(x), i, j))


def test_strides_of_a_transposed_index_beside_dims_of_one_element(tmp_path):
    """The reshaped index has strides in dims of size 1 too; int32 is converted before."""
    x = torch.randn(30).as_strided((3, 1, 2, 5), (1, 1, 3, 6))
    index = torch.randint(0, 3, (5, 8)).T
    rows = {"first": lambda x, i: x[i], "inner": lambda x, i: x[:, :, i % 2]}
    for odd in (index, index.int(), index[:, :1], index[:, :1].expand(8, 4)):
        optable.check_rows(tmp_path, rows, (x, odd))


def test_reads_of_channels_last(tmp_path):
    x = torch.randn(4, 2, 3, 2).contiguous(memory_format=torch.channels_last)
    rows = {
        "last": lambda x, i: x[:, :, :, i],
        "channels": lambda x, i: x[:, i],
        "apart": lambda x, i: x[i, :, i],
        "front": lambda x, i: x[i, i],
    }
    optable.check_rows(tmp_path, rows, (x, tensor([1, 0, 1])))


def test_writes(tmp_path):
    optable.check_rows(tmp_path, WRITES | REDUCES, operands())


def test_writes_decomposed(tmp_path):
    optable.check_rows(tmp_path, WRITES | REDUCES, operands(), decomposed=True)


def test_writes_to_permuted(tmp_path):
    x, i, j = operands()
    optable.check_rows(
        tmp_path, WRITES | REDUCES, (x.permute(2, 0, 1).contiguous().permute(1, 2, 0), i, j)
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float64], ids=str)
def test_writes_of_dtypes(tmp_path, dtype):
    rows = {
        "add": lambda x, i: x.index_add(0, i, x[: len(i)]),
        "copy": lambda x, i: x.index_copy(0, i[:2], x[1:3]),
        "scatter": lambda x, i: x.scatter(1, (x > 3).long()[:, :2], x),
        "put": lambda x, i: put(x, (i,), x[0], accumulate=True),
        **{
            reduce: lambda x, i, r=reduce: x.scatter_reduce(
                1, (x > 2).long(), x, r, include_self=False
            )
            for reduce in ("sum", "prod", "amax", "amin")
        },
    }
    x, i, _ = operands()
    optable.check_rows(tmp_path, rows, (x.abs().to(dtype), i))


def test_bools(tmp_path):
    rows = {
        "put": lambda x, i: put(x, (i,), tensor(True)),
        "or": lambda x, i: put(x, (i,), x[0], accumulate=True),
        "gather": lambda x, i: x.gather(0, i[:, None, None].expand(-1, 6, 5)),
    }
    x, i, _ = operands()
    optable.check_rows(tmp_path, rows, (x > 0, i))


def test_rank_0_and_empty(tmp_path):
    rows = {
        "add_0d": lambda x, i: x[0].index_add(0, i[:1] * 0, x[1]),
        "gather_0d": lambda x, i: x[0].gather(0, i[0] * 0),
        "scatter_0d": lambda x, i: x[0].scatter(0, i[0] * 0, x[1]),
        "no_index": lambda x, i: x[i[:0]],
        "no_update": lambda x, i: x.index_add(0, i[:0], x[:0]),
        "empty": lambda x, i: x[:0].index_add(0, i[:0], x[:0]),
        "gather_none": lambda x, i: x.gather(0, i[:0]),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(5), tensor([1, 0])))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_scatter_of_any_layout(tmp_path_factory, data):
    shape = data.draw(layouts.sizes(1, 3, 5).filter(lambda s: 0 not in s))
    dim = data.draw(st.integers(0, len(shape) - 1))
    x = data.draw(layouts.tensors(shape))
    small = [data.draw(st.integers(1, n)) for n in shape]
    small[dim] = data.draw(st.integers(0, 6))
    src = data.draw(layouts.tensors(small))
    index = torch.randint(0, shape[dim], small)
    rows = {
        "gather": lambda x, i, s: x.gather(dim, i),
        "add": lambda x, i, s: x.scatter_add(dim, i, s),
        "amax": lambda x, i, s: x.scatter_reduce(dim, i, s, "amax"),
        "mean": lambda x, i, s: x.scatter_reduce(dim, i, s, "mean", include_self=False),
    }
    optable.check_rows(tmp_path_factory.mktemp("scatter"), rows, (x, index, src))


BAGS = {
    "sum": lambda w, i, o: F.embedding_bag(i, w, o, mode="sum"),
    "mean": lambda w, i, o: F.embedding_bag(i, w, o, mode="mean"),
    "max": lambda w, i, o: F.embedding_bag(i, w, o, mode="max"),
    "weighted": lambda w, i, o: F.embedding_bag(
        i, w, o, mode="sum", per_sample_weights=w[: len(i), 0]
    ),
    "padding_sum": lambda w, i, o: F.embedding_bag(i, w, o, mode="sum", padding_idx=2),
    "padding_mean": lambda w, i, o: F.embedding_bag(i, w, o, mode="mean", padding_idx=2),
    "padding_max": lambda w, i, o: F.embedding_bag(i, w, o, mode="max", padding_idx=2),
    "last_offset": lambda w, i, o: F.embedding_bag(
        i, w, torch.cat([o, tensor([9])]), mode="sum", include_last_offset=True
    ),
    "two_dims": lambda w, i, o: F.embedding_bag(i.view(3, 3), w, mode="mean"),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_embedding_bag(tmp_path, decomposed):
    w = torch.randn(10, 7)
    args = (w, tensor([2, 2, 9, 0, 3, 2, 1, 8, 8]), tensor([0, 2, 5, 5, 6]))
    optable.check_rows(tmp_path, BAGS, args, decomposed=decomposed)


@pytest.mark.parametrize("padding", [-1, 2])
@pytest.mark.parametrize("mode", [0, 1, 2], ids=["sum", "mean", "max"])
def test_what_embedding_bags_save(tmp_path, mode, padding):
    """The bag of each index, the bags' sizes, and the rows that the largest elements are of."""

    def saved(w, i, o):
        return torch.ops.aten._embedding_bag(w, i, o, False, mode, False, None, False, padding)

    w = torch.randn(10, 7)
    w[8] = w[2]  # the first of equal ones counts
    args = (w, tensor([2, 2, 9, 0, 3, 2, 8, 8]), tensor([0, 2, 5, 5, 6]))
    optable.check_rows(tmp_path, {"saved": saved}, args)


def test_places_in_sorted_sequences(tmp_path):
    line = tensor([-1.0, 0.0, 0.0, 0.5, 2.0])
    x = tensor([[0.0, -3.0, 2.0], [0.25, float("nan"), 9.0]])
    rows = {
        "bucketize": lambda line, x: torch.bucketize(x, line),
        "bucketize_right": lambda line, x: torch.bucketize(x, line, right=True, out_int32=True),
        "search": lambda line, x: torch.searchsorted(line, x),
        "search_right": lambda line, x: torch.searchsorted(line, x, side="right"),
        "search_rows": lambda line, x: torch.searchsorted(torch.stack([line, line * 2]), x),
        "search_number": lambda line, x: torch.searchsorted(line, 0.3),
        "search_sorter": lambda line, x: torch.searchsorted(
            line.flip(0), x, sorter=torch.arange(4, -1, -1)
        ),
    }
    optable.check_rows(tmp_path, rows, (line, x))


@pytest.mark.parametrize(
    "row",
    [
        lambda x, i: x[i],
        lambda x, i: x.gather(0, i),
        lambda x, i: x.scatter(0, i, x),
        lambda x, i: x.index_add(0, i, x),
        lambda x, i: x.index_put((i,), x),
    ],
    ids=["index", "gather", "scatter", "index_add", "index_put"],
)
def test_an_index_out_of_range_is_an_error(tmp_path, row):
    compiled = harness.compile_module(
        tmp_path, optable.Function(row), (torch.randn(3), tensor([0, 1, 2]))
    )
    compiled.check(torch.randn(3), tensor([2, 0, 1]))
    with pytest.raises(capi.RtorchError, match="index out of range"):
        compiled(torch.randn(3), tensor([0, 3, 1]))


def test_the_same_bits_for_any_number_of_threads(tmp_path):
    rows = {
        "add": lambda x, i: x.index_add(0, i, x[: len(i)] * 3),
        "scatter": lambda x, i: x.scatter_add(0, (x > 0).long(), x),
    }
    x, i = torch.randn(50, 700), torch.randint(0, 50, (40,))
    compiled = optable.check_rows(tmp_path, rows, (x, i))
    compiled.check_bits_of_threads(x, i)


@pytest.mark.parametrize(
    "row", [lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.masked_select(x > 0)]
)
def test_sizes_that_depend_on_data_are_refused(tmp_path, row):
    program = harness.export(optable.Function(row), (torch.randn(5),))
    torch.export.save(program, tmp_path / "model.pt2")
    done = harness.command("rtorch-compile", tmp_path / "model.pt2", "-o", tmp_path / "m.rtm")
    assert done.returncode != 0
    assert "aten." in done.stderr
