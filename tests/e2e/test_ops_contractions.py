"""Matrix products and attention against eager PyTorch."""

import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]

# --- products -----------------------------------------------------------------


def product_operands(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    shapes = [3, 17, 20], [23, 20], [23], [20, 19], [3, 20, 9], [20]
    return tuple(layouts.values(shape, dtype, i) * 0.5 for i, shape in enumerate(shapes))


# Operands: x [3, 17, 20], w [23, 20], b [23], m [20, 19], y [3, 20, 9], v [20].
PRODUCTS = {
    "linear": lambda x, w, b, m, y, v: F.linear(x, w, b),
    "linear_plain": lambda x, w, b, m, y, v: F.linear(x, w),
    "linear_row": lambda x, w, b, m, y, v: F.linear(x[0, 0], w, b),
    "linear_act": lambda x, w, b, m, y, v: F.gelu(F.linear(x + 1, w, b)) * 2,
    "linear_residual": lambda x, w, b, m, y, v: F.linear(F.linear(x, w), w.t()) + x,
    "linear_permuted": lambda x, w, b, m, y, v: F.linear(x.transpose(0, 1), w, b),
    "linear_strided": lambda x, w, b, m, y, v: F.linear(x[:, ::2, 1::2], w[:, ::2]),
    "linear_twice": lambda x, w, b, m, y, v: [F.linear(x, w, b), F.linear(x, w, b).relu()],
    "linear_softmax": lambda x, w, b, m, y, v: F.linear(x, w).softmax(-1),
    "linear_norm": lambda x, w, b, m, y, v: F.layer_norm(F.linear(x, w, b), [23]),
    "linear_heads": lambda x, w, b, m, y, v: (
        F.linear(x, w[:20]).view(3, 17, 4, 5).transpose(1, 2) + 1
    ),
    "matmul": lambda x, w, b, m, y, v: x @ m,
    "matmul_t": lambda x, w, b, m, y, v: x @ w.t() + b,
    "bmm": lambda x, w, b, m, y, v: torch.bmm(x, y),
    "bmm_permuted": lambda x, w, b, m, y, v: y.mT @ x.mT,
    "bmm_broadcast": lambda x, w, b, m, y, v: x[:1] @ y,
    "bmm_4d": lambda x, w, b, m, y, v: x.unsqueeze(1) @ y.unsqueeze(0),
    "bmm_scaled": lambda x, w, b, m, y, v: (x * 0.3) @ (y + 1) / 2,
    "mm": lambda x, w, b, m, y, v: torch.mm(x[0], m),
    "mm_column": lambda x, w, b, m, y, v: x[0] @ m[:, :1],
    "mm_row": lambda x, w, b, m, y, v: x[0, :1] @ m,
    "mm_one": lambda x, w, b, m, y, v: x[0, :, :1] @ m[:1],
    "mv": lambda x, w, b, m, y, v: x[0] @ v,
    "vm": lambda x, w, b, m, y, v: v @ m,
    "batched_mv": lambda x, w, b, m, y, v: x @ v,
    "dot": lambda x, w, b, m, y, v: torch.dot(v, x[0, 0]),
    "outer": lambda x, w, b, m, y, v: torch.outer(v, b),
    "addmm": lambda x, w, b, m, y, v: torch.addmm(b[:19], x[1], m),
    "addmm_scaled": lambda x, w, b, m, y, v: torch.addmm(b[:19], x[1], m, beta=0.5, alpha=2),
    "addmm_beta_0": lambda x, w, b, m, y, v: torch.addmm(b[:19] / 0, x[1], m, beta=0),
    "baddbmm": lambda x, w, b, m, y, v: torch.baddbmm(b[:9], x, y, beta=2, alpha=0.5),
    "addmv": lambda x, w, b, m, y, v: torch.addmv(b[:17], x[0], v),
    "gram": lambda x, w, b, m, y, v: x @ x.mT,
    "empty_k": lambda x, w, b, m, y, v: x[..., :0] @ m[:0],
    "empty_rows": lambda x, w, b, m, y, v: x[:, :0] @ m,
    "empty_batch": lambda x, w, b, m, y, v: x[:0] @ y[:0],
    "empty_linear": lambda x, w, b, m, y, v: F.linear(x[..., :0], w[:, :0], b),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products(tmp_path, dtype):
    optable.check_rows(tmp_path, PRODUCTS, product_operands(dtype))


def test_products_decomposed(tmp_path):
    optable.check_rows(tmp_path, PRODUCTS, product_operands(torch.float32), decomposed=True)


@given(st.data())
def test_products_of_any_sizes(tmp_path_factory, data):
    size = st.one_of(st.integers(0, 9), st.sampled_from([1, 16, 17, 33, 64, 100, 257]))
    m, n, k, batch = (data.draw(size) for _ in range(4))
    batch = min(batch, 5)
    operands = [
        data.draw(layouts.tensors(shape))
        for shape in ([batch, m, k], [batch, k, n], [n, k], [k, n])
    ]
    rows = {
        "bmm": lambda a, b, w, c: a @ b,
        "linear": lambda a, b, w, c: F.linear(a, w) + 1,
        "mm": lambda a, b, w, c: (a @ c).relu(),
        "right_t": lambda a, b, w, c: a @ b.mT.contiguous().mT,
    }
    optable.check_rows(tmp_path_factory.mktemp("m"), rows, operands)


THIN = {
    "linear": lambda a, b, w, c, v: F.linear(a, w) + 1,
    "mm": lambda a, b, w, c, v: (a @ c).relu(),
    "tall": lambda a, b, w, c, v: w @ a.mT,
    "batched": lambda a, b, w, c, v: b @ (a * 2).mT,
    "mv": lambda a, b, w, c, v: w @ v + a[0, 0],
    "batched_mv": lambda a, b, w, c, v: F.gelu(b @ v),
    "column": lambda a, b, w, c, v: F.linear(b, v[None], v[:1]),
    "vm": lambda a, b, w, c, v: v @ c,
    "dot": lambda a, b, w, c, v: v @ a[0],
}


def thin_operands(rows: int, k: int, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    shapes = [rows, k], [3, 5, k], [n, k], [k, n], [k]
    return tuple(layouts.values(shape, dtype, i) * 0.5 for i, shape in enumerate(shapes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_products_of_few_rows(tmp_path, rows, dtype):
    optable.check_rows(tmp_path, THIN, thin_operands(rows, 77, 150, dtype))


def test_products_of_any_number_of_rows(tmp_path):
    rows, k, n = Dim("rows", min=1), Dim("k", min=1), Dim("n", min=1)
    shapes = {0: rows, 1: k}, {2: k}, {0: n, 1: k}, {0: k, 1: n}, {0: k}
    cases = [(1, 16, 33), (2, 40, 1), (3, 5, 64), (4, 1, 1), (5, 33, 31), (300, 100, 65)]
    more = [thin_operands(*case, torch.float32) for case in cases]
    operands = thin_operands(7, 19, 21, torch.float32)
    optable.check_rows(tmp_path, THIN, operands, *more, dynamic_shapes=shapes)


def test_infinite_elements_stay_in_their_products(tmp_path):
    a, b, w, c, v = thin_operands(2, 30, 40, torch.float32)
    for x in (w, c):
        x[3, 4] = torch.inf
        x[7, 9] = torch.nan
    optable.check_rows(tmp_path, THIN, (a, b, w, c, v))


class Weights(torch.nn.Module):
    """Products with parameters, whose weights are packed ahead."""

    def __init__(self, dtype):
        super().__init__()
        self.linear = torch.nn.Linear(20, 33, dtype=dtype)
        self.plain = torch.nn.Linear(33, 7, bias=False, dtype=dtype)
        self.matrix = torch.nn.Parameter(torch.randn(20, 5, dtype=dtype))
        self.batched = torch.nn.Parameter(torch.randn(3, 20, 6, dtype=dtype))
        self.score = torch.nn.Linear(33, 1, dtype=dtype)

    def forward(self, x):
        y = F.gelu(self.linear(x))
        return {
            "mlp": self.plain(y),
            "twice": self.linear(x * 2) + y,
            "matmul": x @ self.matrix,
            "part": F.linear(x[..., 3:7], self.linear.weight[:, 3:7]),
            "transposed": y @ self.linear.weight,
            "batched": x @ self.batched,
            "score": self.score(y).sigmoid(),
            "weight": self.matrix,
        }


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products_with_parameters(tmp_path, dtype, decomposed):
    x = layouts.values([3, 9, 20], dtype, 2)
    compiled = harness.compile_module(tmp_path, Weights(dtype), (x,), decomposed=decomposed)
    compiled.check(x)


def test_dynamic_sizes(tmp_path):
    b, m, k = (Dim(name, min=1, max=300) for name in "bmk")
    rows = {
        "bmm": lambda x, y: x @ y,
        "gram": lambda x, y: x @ x.mT,
        "scores": lambda x, y: (x @ x.mT).softmax(-1) @ y.mT,
        "linear": lambda x, y: F.linear(x, y[0].mT),
    }
    rows["scores"] = lambda x, y: (x @ x.mT).softmax(-1) @ x
    make = lambda b, m, k: (torch.randn(b, m, k), torch.randn(b, k, 24))  # noqa: E731
    sizes = [(1, 1, 1), (2, 300, 3), (7, 5, 129), (1, 64, 300), (3, 33, 17)]
    optable.check_rows(
        tmp_path, rows, make(2, 6, 8), *(make(*each) for each in sizes),
        dynamic_shapes=({0: b, 1: m, 2: k}, {0: b, 1: k}),
    )  # fmt: skip


# --- attention ----------------------------------------------------------------

sdpa = F.scaled_dot_product_attention


def attention_operands(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """q [2, 4, 9, 16], k and v [2, 4, 13, 16], mask [9, 13], keep [2, 1, 1, 13] bool."""
    shapes = [2, 4, 9, 16], [2, 4, 13, 16], [2, 4, 13, 16], [9, 13]
    q, k, v, mask = (layouts.values(shape, dtype, i) for i, shape in enumerate(shapes))
    keep = layouts.values([2, 1, 1, 13], torch.bool, 9)
    keep[..., 0] = True
    return q, k, v, mask, keep


ATTENTION = {
    "plain": lambda q, k, v, m, keep: sdpa(q, k, v),
    "scaled": lambda q, k, v, m, keep: sdpa(q, k, v, scale=0.3),
    "mask": lambda q, k, v, m, keep: sdpa(q, k, v, m),
    "mask_full": lambda q, k, v, m, keep: sdpa(q, k, v, m.expand(2, 4, 9, 13) * 2),
    "mask_column": lambda q, k, v, m, keep: sdpa(q, k, v, m[:, :1]),
    "mask_row": lambda q, k, v, m, keep: sdpa(q, k, v, m[:1]),
    "bool_mask": lambda q, k, v, m, keep: sdpa(q, k, v, keep),
    "bool_mask_full": lambda q, k, v, m, keep: sdpa(q, k, v, (m > -1) & keep),
    "nothing_kept": lambda q, k, v, m, keep: sdpa(q, k, v, m > 100),
    "row_not_kept": lambda q, k, v, m, keep: sdpa(q, k, v, torch.cat([m[:3] > 100, m[3:] < 100])),
    "causal": lambda q, k, v, m, keep: sdpa(q, k, v, is_causal=True),
    "causal_long": lambda q, k, v, m, keep: sdpa(k, q, q, is_causal=True),
    "causal_square": lambda q, k, v, m, keep: sdpa(k, k, v, is_causal=True),
    "grouped": lambda q, k, v, m, keep: sdpa(q, k[:, :2], v[:, :2], enable_gqa=True),
    "one_head": lambda q, k, v, m, keep: sdpa(q, k[:, :1], v[:, :1], m, enable_gqa=True),
    "wide_values": lambda q, k, v, m, keep: sdpa(q, k, torch.cat([v, v[..., :3]], -1)),
    "narrow_values": lambda q, k, v, m, keep: sdpa(q, k, v[..., :5], m),
    "rank_3": lambda q, k, v, m, keep: sdpa(q[0], k[0], v[0], m),
    "transposed": lambda q, k, v, m, keep: sdpa(
        q.transpose(1, 2), q.transpose(1, 2) * 2, q.transpose(1, 2)
    ),
    "heads_merged": lambda q, k, v, m, keep: sdpa(q, k, v).transpose(1, 2).reshape(2, 9, 64),
    "fused_after": lambda q, k, v, m, keep: sdpa(q, k, v, m) * 2 + q,
    "fused_before": lambda q, k, v, m, keep: sdpa(q * 2, k + 1, v.exp(), m.tanh()),
    "by_hand": lambda q, k, v, m, keep: ((q @ k.mT) * 0.25 + m).softmax(-1) @ v,
    "by_hand_masked": lambda q, k, v, m, keep: (
        (q @ k.mT / 4).masked_fill(~keep, float("-inf")).softmax(-1) @ v
    ),
    "one_query": lambda q, k, v, m, keep: sdpa(q[:, :, :1], k, v),
    "two_queries": lambda q, k, v, m, keep: sdpa(q[:, :, :2], k, v, m[:2]),
    "four_queries": lambda q, k, v, m, keep: sdpa(q[:, :, :4], k, v[..., :5], is_causal=True),
    "few_queries_merged": lambda q, k, v, m, keep: (
        sdpa(q[:, :, 2:5], k[:, :2], v[:, :2], keep, enable_gqa=True)
        .transpose(1, 2)
        .reshape(2, 3, 64)
    ),
    "few_row_not_kept": lambda q, k, v, m, keep: sdpa(
        q[:, :, 2:4], k, v, torch.cat([m[:1] > 100, m[1:2] < 100])
    ),
    "one_key": lambda q, k, v, m, keep: sdpa(q, k[:, :, :1], v[:, :, :1]),
    "odd_head": lambda q, k, v, m, keep: sdpa(q[..., :7], k[..., :7], v),
    "no_queries": lambda q, k, v, m, keep: sdpa(q[:, :, :0], k, v),
    "no_batch": lambda q, k, v, m, keep: sdpa(q[:0], k[:0], v[:0]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_attention(tmp_path, dtype):
    optable.check_rows(tmp_path, ATTENTION, attention_operands(dtype))


def test_attention_decomposed(tmp_path):
    # Decomposing changes the strides of the result, also when PyTorch runs the graph.
    def row_major(row):
        return lambda *x: row(*x).clone(memory_format=torch.contiguous_format)

    rows = {name: row_major(row) for name, row in ATTENTION.items()}
    optable.check_rows(tmp_path, rows, attention_operands(torch.float32), decomposed=True)


def test_attention_of_large_scores(tmp_path):
    q, k, v, m, keep = attention_operands(torch.float32)
    rows = {n: ATTENTION[n] for n in ("plain", "mask", "causal", "by_hand")}
    optable.check_rows(tmp_path, rows, (q, k, v, m, keep), (q * 50, k * 50, v, m * 1e4, keep))


def test_attention_of_few_queries_over_long_sequences(tmp_path):
    def make(keys: int) -> tuple[torch.Tensor, ...]:
        q, k, v = (torch.randn(2, n, 3, 40).transpose(1, 2) for n in (3, keys, keys))
        return q * 3, k, v, torch.randn(3, keys)

    rows = {
        "plain": lambda q, k, v, m: sdpa(q, k, v),
        "one": lambda q, k, v, m: sdpa(q[:, :, :1], k, v, m[:1]),
        "mask": lambda q, k, v, m: sdpa(q, k, v, (m > 0).logical_or(m < -3)),
        "columns": lambda q, k, v, m: sdpa(q, k.mT.contiguous().mT, v.mT.contiguous().mT),
    }
    keys = Dim("keys", min=3, max=5000)
    shapes = {}, {2: keys}, {2: keys}, {1: keys}
    more = [make(n) for n in (3, 512, 513, 1500)]
    optable.check_rows(tmp_path, rows, make(1100), *more, dynamic_shapes=shapes)


def test_attention_of_dynamic_lengths(tmp_path):
    batch, queries, keys = (Dim(name, min=1, max=200) for name in ("b", "q", "k"))
    rows = {
        "plain": lambda q, k, v, m: sdpa(q, k, v),
        "mask": lambda q, k, v, m: sdpa(q, k, v, m),
        "causal": lambda q, k, v, m: sdpa(k, k, v, is_causal=True),
        "by_hand": lambda q, k, v, m: (q @ k.mT / 8 + m).softmax(-1) @ v,
    }

    def make(b: int, q: int, k: int) -> tuple[torch.Tensor, ...]:
        return (
            *(torch.randn(b, q, 3, 32).transpose(1, 2),),
            *(torch.randn(b, k, 3, 32).transpose(1, 2) for _ in range(2)),
            torch.randn(b, 1, 1, k),
        )

    sizes = [(1, 1, 1), (1, 200, 3), (2, 1, 200), (3, 65, 130), (5, 17, 64)]
    optable.check_rows(
        tmp_path, rows, make(2, 6, 8), *(make(*each) for each in sizes),
        dynamic_shapes=(
            {0: batch, 2: queries}, {0: batch, 2: keys}, {0: batch, 2: keys}, {0: batch, 3: keys},
        ),
    )  # fmt: skip


def test_products_of_no_terms(tmp_path):
    """Sums over no elements are 0, also of views that have more rows than what they view."""
    rows = {
        "matmul": lambda a, b: a @ b,
        "of_view": lambda a, b: torch.stack([a[0], a[0]], 1).unflatten(0, (1, -1)) @ b,
        "of_cat": lambda a, b: torch.cat([a, a, a], 2).view(1, 9, 0) @ b,
        "transposed": lambda a, b: F.linear(a.view(3, 1, 0), b.mT),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(1, 3, 0), torch.randn(0, 4)))


def test_sizes_that_are_equal_by_a_check_alone(tmp_path):
    """The diagonal of a [17, n] matrix has min(n, 15) elements: n of them up to 15."""
    rows = {
        "matmul": lambda x: x @ torch.diagonal(x, -2),
        "add": lambda x: torch.diagonal(x, -2) + x,
    }
    more = [(torch.randn(17, 15),), (torch.randn(17, 2),)]
    optable.check_rows(
        tmp_path, rows, (torch.randn(17, 5),), *more, dynamic_shapes=({1: Dim.AUTO},)
    )
