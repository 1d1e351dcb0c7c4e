"""Views, copies, creation and indexing against eager PyTorch."""

import itertools

import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bool, torch.float16, torch.uint8]

# Rows of x with sizes (4, 6, 10) that make new tensors out of views of it.
VIEWS = {
    "view": lambda x: x.contiguous().view(24, 10) + 1,
    "view_split": lambda x: x.contiguous().view(2, 2, 3, 2, 10) * 2,
    "reshape": lambda x: x.reshape(8, 30),
    "reshape_of_transposed": lambda x: x.transpose(0, 2).reshape(60, 4),
    "flatten": lambda x: x.flatten(1) + 1,
    "unflatten": lambda x: x.unflatten(2, (5, 2)).sum(3),
    "transpose": lambda x: x.transpose(0, 1) * 1.5,
    "permute": lambda x: x.permute(2, 0, 1).exp(),
    "t": lambda x: x[0].t() + x[1].t(),
    "movedim": lambda x: torch.movedim(x, 0, 2) - 1,
    "select": lambda x: x.select(1, -2) + x[:, 0],
    "slice": lambda x: x[1:3, ::2, 3:-1] * 2,
    "slice_step": lambda x: x[:, 5::3].neg(),
    "narrow": lambda x: x.narrow(2, 3, 4) + 1,
    "squeeze": lambda x: x[:, :1].squeeze(1).abs(),
    "unsqueeze": lambda x: (x.unsqueeze(1) + x.unsqueeze(2)).sum(3),
    "expand": lambda x: x[:, :1].expand(4, 3, 10) + 1,
    "expand_new": lambda x: x[0, 0].expand(3, 2, 10) * 2,
    "diagonal": lambda x: x.diagonal(0, 1, 2) + 1,
    "diagonal_offset": lambda x: torch.diagonal(x, 2, 1, 2).exp(),
    "unfold": lambda x: x.unfold(2, 4, 3).sum(3),
    "split": lambda x: [part + 1 for part in x.split(4, 2)],
    "split_sizes": lambda x: [part * 2 for part in x.split([1, 2, 3], 1)],
    "chunk": lambda x: [part.relu() for part in x.chunk(3, 2)],
    "unbind": lambda x: [part - 1 for part in x.unbind(0)],
    "as_strided": lambda x: x.contiguous().as_strided((3, 5), (7, 2), 4) + 1,
    "chain": lambda x: x.permute(1, 2, 0)[1:4].transpose(0, 2)[..., ::2, :].reshape(4, -1) + 1,
    "mT": lambda x: x.mT + 1,
}
MOVES = {
    "contiguous": lambda x: x.transpose(0, 2).contiguous(),
    "clone": lambda x: x.transpose(0, 2).clone(),
    "clone_contiguous": lambda x: x.mT.clone(memory_format=torch.contiguous_format),
    "cat": lambda x: torch.cat([x, x[:2], x + 1]),
    "cat_middle": lambda x: torch.cat([x, x[:, :1].exp(), x[:, 3:]], 1),
    "cat_last": lambda x: torch.cat([x[..., :3], x, x[..., 1:2]], -1),
    "cat_permuted": lambda x: torch.cat([x.mT, x.mT], 1),
    "cat_empty": lambda x: torch.cat([x[:0], x, x[:0]]),
    "cat_then": lambda x: torch.cat([x, -x], 2).relu() * 2,
    "stack": lambda x: torch.stack([x, x + 1, x * 2], 1),
    "stack_last": lambda x: torch.stack([x[0], x[1]], -1),
    "flip": lambda x: x.flip(0, 2),
    "roll": lambda x: x.roll((1, -2), (0, 2)),
    "roll_all": lambda x: x.roll(3),
    "repeat": lambda x: x.repeat(2, 1, 3),
    "repeat_more": lambda x: x[0, 0].repeat(3, 2),
    "tile": lambda x: x.tile(2),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 3), value=0.5),
    "pad_negative": lambda x: F.pad(x, (-1, 2, 3, -2)),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(-2),
    "diff": lambda x: x.diff(dim=1),
    "glue": lambda x: torch.cat([x.mT.reshape(4, -1), x.flatten(1)], 1).view(2, 2, -1).sum(1),
    "index_select": lambda x: x.index_select(1, torch.tensor([5, 0, 0, 3])),
    "index": lambda x: x[torch.tensor([3, 1, 1])],
    "index_negative": lambda x: x[:, torch.tensor([-1, 0, -6])],
    "index_rows": lambda x: x[:, :, torch.tensor([[0, 9], [4, 4]])] + 1,
    "select_scatter": lambda x: torch.select_scatter(x, x[1] + 1, 0, 2),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :2] + 1, 1, 1, 5, 2),
}
CREATION = {
    "zeros": lambda x: torch.zeros(3, 4),
    "ones": lambda x: torch.ones(2, dtype=torch.int32),
    "full": lambda x: torch.full((2, 3), 1.5),
    "full_bool": lambda x: torch.full((2,), True),
    "zeros_like": lambda x: torch.zeros_like(x.mT),
    "ones_like": lambda x: torch.ones_like(x, dtype=torch.float64),
    "full_like": lambda x: torch.full_like(x, 3),
    "new_zeros": lambda x: x.new_zeros(2, 5),
    "new_ones": lambda x: x.new_ones(2, 5),
    "new_full": lambda x: x.new_full((3,), 7),
    "arange": lambda x: torch.arange(10),
    "arange_step": lambda x: torch.arange(3, 20, 4),
    "arange_real": lambda x: torch.arange(0.5, 3.0, 0.25),
    "arange_down": lambda x: torch.arange(5, -5, -3),
    "arange_half": lambda x: torch.arange(20, dtype=torch.bfloat16),
    "eye": lambda x: torch.eye(4, 6),
    "scalar": lambda x: torch.scalar_tensor(2.5),
    "tensor": lambda x: torch.tensor([1.0, 2.0, 3.0]) * 2,
    "constant": lambda x: torch.tensor([[1, 2], [3, 4]]),
    "one_hot": lambda x: F.one_hot(torch.tensor([0, 3, 1]), 5),
    "mask": lambda x: torch.ones(5, 5, dtype=torch.bool).tril(),
    "added": lambda x: torch.arange(10) + x.to(torch.float32),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_views_and_moves(tmp_path, dtype):
    x = layouts.values([4, 6, 10], dtype, 1)
    rows = VIEWS | MOVES
    if not dtype.is_floating_point:
        rows = MOVES | {"permute": VIEWS["permute"], "as_strided": VIEWS["as_strided"]}
        needs_arithmetic = ["cat_then", "stack", "cat", "diff", "pad", "index_rows"]
        rows = {n: r for n, r in rows.items() if n not in needs_arithmetic}
    optable.check_rows(tmp_path, rows, (x,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(6, 10, 4).permute(2, 0, 1),
        lambda: torch.randn(8, 6, 31)[::2, :, 1::3],
        lambda: torch.randn(4, 1, 10).expand(4, 6, 10),
    ],
    ids=["permuted", "sliced", "expanded"],
)
def test_views_and_moves_of_layouts(tmp_path, make):
    rows = {n: r for n, r in (VIEWS | MOVES).items() if n != "as_strided"}
    optable.check_rows(tmp_path, rows, (make(),))


def test_views_and_moves_decomposed(tmp_path):
    optable.check_rows(tmp_path, VIEWS | MOVES, (torch.randn(4, 6, 10),), decomposed=True)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_creation(tmp_path, decomposed):
    rows = dict(CREATION)
    if decomposed:  # its checks of the classes become ops that assert
        del rows["one_hot"]
    optable.check_rows(tmp_path, rows, (torch.randn(4, 6, 10),), decomposed=decomposed)


def test_dynamic_sizes(tmp_path):
    n, m = Dim("n", min=3, max=50), Dim("m", min=3, max=50)
    rows = {
        "view": lambda x: x.view(x.shape[0] * x.shape[1], 3) + 1,
        "flatten": lambda x: x.flatten(1),
        "transposed": lambda x: x.transpose(1, 2).reshape(x.shape[0], -1),
        "cat": lambda x: torch.cat([x, x[:1], x * 2]),
        "cat_dim1": lambda x: torch.cat([x, x], 1),
        "slice": lambda x: x[1:] + x[:-1],
        "slice_end": lambda x: x[:, -2:].exp(),
        "last": lambda x: x[-1] * 2,
        "zeros": lambda x: torch.zeros(x.shape[1], x.shape[0]),
        "arange": lambda x: torch.arange(x.shape[1]) + x.shape[0],
        "expand": lambda x: x[:, :1].expand(-1, x.shape[1], -1) + x,
        "stack": lambda x: torch.stack([x, x], 1),
        "size": lambda x: x.shape[0] * 2 + x.shape[1],
        "mask": lambda x: torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(),
        "pad": lambda x: F.pad(x, (0, 0, 1, 2)),
        "flip": lambda x: x.flip(1),
        "repeat": lambda x: x.repeat(2, 1, 1),
    }
    sizes = [(3, 3), (3, 50), (50, 4), (17, 9)]
    optable.check_rows(
        tmp_path, rows, (torch.randn(5, 7, 3),), *((torch.randn(*each, 3),) for each in sizes),
        dynamic_shapes=({0: n, 1: m},),
    )  # fmt: skip


@given(st.data())
def test_cat_and_index_of_any_sizes(tmp_path_factory, data):
    shape = data.draw(layouts.sizes(min_rank=1, max_rank=4))
    dim = data.draw(st.integers(0, len(shape) - 1))
    pieces = [
        data.draw(layouts.tensors([*shape[:dim], data.draw(st.integers(0, 9)), *shape[dim + 1 :]]))
        for _ in range(3)
    ]
    index = torch.tensor(data.draw(st.lists(st.integers(-3, 2), min_size=0, max_size=9))).long()
    table = torch.randn([3, *shape])
    rows = {
        "cat": lambda a, b, c, t, i: torch.cat([a, b, c], dim),
        "plus": lambda a, b, c, t, i: torch.cat([a + 1, b, a, c], dim) * 2,
        "stack": lambda a, b, c, t, i: torch.stack([a, a * 2], dim),
        "index": lambda a, b, c, t, i: t[i],
        "flip": lambda a, b, c, t, i: a.flip(dim),
    }
    optable.check_rows(tmp_path_factory.mktemp("m"), rows, (*pieces, table, index))


# --- indexing -----------------------------------------------------------------


@pytest.mark.parametrize("index_dtype", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_embedding_and_index(tmp_path, dtype, index_dtype):
    table = layouts.values([11, 20], dtype, 1)
    ids = torch.tensor([[0, 10, 3], [7, 7, 1]], dtype=index_dtype)
    rows = {
        "embedding": lambda t, i: F.embedding(i, t),
        "embedding_scaled": lambda t, i: F.embedding(i, t) * 2 + 1,
        "embedding_normed": lambda t, i: F.layer_norm(F.embedding(i, t) + t[0], [20]),
        "embedding_padding": lambda t, i: F.embedding(i, t, padding_idx=1),
        "embedding_permuted": lambda t, i: F.embedding(i.t(), t.flip(0)),
        "index_select": lambda t, i: t.index_select(0, i[0]),
        "index_select_1": lambda t, i: t.index_select(1, i.flatten()),
        "index": lambda t, i: t[i],
        "computed_index": lambda t, i: t[(i + 1) % 11],
    }
    optable.check_rows(tmp_path, rows, (table, ids))


class Lookup(torch.nn.Module):
    def forward(self, table, ids):
        return F.embedding(ids, table) + 1


@pytest.mark.parametrize("bad", [-1, 11, 2**40])
def test_an_index_out_of_range_is_an_error(tmp_path, bad):
    table, ids = torch.randn(11, 20), torch.tensor([0, 10, 3, 4, 5])
    compiled = harness.compile_module(tmp_path, Lookup(), (table, ids))
    compiled.check(table, ids)
    wrong = ids.clone()
    wrong[3] = bad
    with pytest.raises(harness.capi.RtorchError, match="index out of range") as caught:
        compiled(table, wrong)
    assert "embedding" in str(caught.value)
    assert "test_ops_movement.py" in str(caught.value)
    compiled.check(table, ids)


# --- aliasing -----------------------------------------------------------------


class Views(torch.nn.Module):
    """Results that are inputs, views of inputs, parameters, or each other."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 6))
        self.register_buffer("table", torch.randn(3))

    def forward(self, x, unused, y):
        z = x + y
        return {
            "input": x,
            "again": x,
            "transposed": x.t(),
            "row": x[1],
            "strided": x[:, ::2],
            "new": z,
            "new_again": z,
            "view_of_new": z.view(-1),
            "part_of_new": z[1:, 2:4],
            "parameter": self.weight,
            "view_of_parameter": self.weight.t(),
            "buffer": self.table,
            "constant": torch.tensor([1.0, 2.0]),
            "expanded": y[:1].expand(3, 6),
            "number": x.shape[0] + 1,
            "none": None,
        }


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_results_that_alias(tmp_path, decomposed):
    args = torch.randn(4, 6), torch.randn(2), torch.randn(4, 6)
    compiled = harness.compile_module(tmp_path, Views(), args, decomposed=decomposed)
    compiled.check(*args)
    compiled.check(*(torch.randn_like(a) for a in args))


def test_one_tensor_for_two_arguments(tmp_path):
    rows = {"sum": torch.add, "product": torch.mul, "cat": lambda a, b: torch.cat([a, b])}
    compiled = harness.compile_module(
        tmp_path, optable.Rows(rows), (torch.randn(3, 5), torch.randn(3, 5))
    )
    x = torch.randn(3, 5)
    optable.compare_rows(compiled, rows, (x, x))


# --- mutation -----------------------------------------------------------------


class Mutates(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("history", torch.zeros(4, 6))
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x, y, z):
        self.count += 1
        self.history[1:3].copy_(x[:2] * self.count)
        self.history.t()[0].add_(1)
        before = self.mean.clone()
        self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
        x.mul_(2)
        x[1:, ::2].add_(1)
        y.t().relu_()
        z[0] = z[1] + 1
        w = x + 1
        w[:, 2] = 5.0
        w.view(-1)[::3].neg_()
        w[1:3].zero_()
        return w, self.count.clone(), before, x.sum(), self.history.sum(0), y[0] + 1


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_mutation_of_inputs_buffers_and_views(tmp_path, decomposed):
    args = torch.randn(4, 6), torch.randn(5, 3), torch.randn(3, 2)
    compiled = harness.compile_module(tmp_path, Mutates(), args, decomposed=decomposed)
    for _ in range(3):
        compiled.check(*(torch.randn_like(a) for a in args))


def test_results_that_alias_mutated_inputs(tmp_path):
    """The decomposed form returns copies of them, and so does PyTorch for it."""

    def function(x, y):
        x.add_(y)
        y.t().relu_()
        return x, x[1:], y.t(), x * 2

    args = torch.randn(4, 6), torch.randn(4, 6)
    harness.check_module(tmp_path, optable.Function(function), args, both_forms=False)


class Swap(torch.nn.Module):
    """Writes that need what other writes destroy."""

    def forward(self, x, y):
        kept = x.clone()
        x.copy_(y * 2)
        y.copy_(kept + 1)
        x[1:].copy_(x[:-1].clone())
        return x + y


def test_writes_that_cross(tmp_path):
    args = torch.randn(6, 5), torch.randn(6, 5)
    harness.check_module(tmp_path, Swap(), args, tuple(torch.randn(6, 5) for _ in range(2)))


PERMUTED = [(3, 5, 17, 33), (2, 9, 20, 40), (16, 1, 16, 16), (1, 70, 3, 65), (4, 3, 3, 7)]


@pytest.mark.parametrize("sizes", PERMUTED)
def test_copies_that_permute(tmp_path, sizes):
    """Squares that are transposed in registers, cut at the end of either side."""
    rows = {
        "-".join(map(str, order)): lambda x, order=order: x.permute(order).contiguous() + 1
        for order in itertools.permutations(range(4))
    }
    optable.check_rows(tmp_path, rows, (torch.randn(sizes),))


def test_mutation_of_strided_inputs(tmp_path):
    def function(x, y):
        x.add_(1)
        y.mul_(x)
        return x * y

    args = torch.randn(5, 4).t(), torch.randn(8, 10)[::2, ::2]
    harness.check_module(tmp_path, optable.Function(function), args)


def test_formats_of_concatenated_tensors_of_other_dtypes(tmp_path):
    """Each input votes for channels_last with the strides that it has before its promotion."""
    images = torch.randn(1, 9, 2, 7, dtype=torch.float64).to(memory_format=torch.channels_last)
    odd = torch.arange(63 * 40, dtype=torch.int32).as_strided((1, 9, 2, 7), (0, 3, 204, 29))
    rows = {
        "cat": lambda x, y: torch.cat([x, y], 2),
        "cat_both": lambda x, y: torch.cat([y.float(), y], 0),
        "stack": lambda x, y: torch.stack([x[0], y[0]], -1),
        "empty": lambda x, y: torch.cat([y, y.new_empty(0)], 1),
    }
    optable.check_rows(tmp_path, rows, (odd, images))
