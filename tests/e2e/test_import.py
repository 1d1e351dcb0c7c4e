"""The importer against the exporter: sizes, strides, offset and dtype of every value.

`rtorch-import-dump --cross-check` warns of each difference between what we compute by
eager's rules and what the archive records; values are tested where compiled code runs.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import archives
import harness
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim


class Wrap(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def dump(archive: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return harness.command("rtorch-import-dump", *options, archive)


# Where the exporter's fake tensors differ from eager in the strides of permuted inputs:
# eager gives 2**x row-major, and keeps the order of dims in a floor division.
EXPORTER_IS_WRONG = re.compile(r"cross-check of '(pow_11|floor_divide|div_[148])': strides")


def imported(
    tmp_path: Path, module, args, *, decomposed=False, dynamic_shapes=None, known=None
) -> str:
    """The imported form, which must agree with the exporter in every value.

    `known` matches warnings where eager, and not the exporter, is right.
    """
    if not isinstance(module, nn.Module):
        module = Wrap(module)
    with torch.no_grad():
        program = harness.export(
            module.eval(), args, dynamic_shapes=dynamic_shapes, decomposed=decomposed
        )
    archive = tmp_path / "model.pt2"
    torch.export.save(program, archive)
    done = dump(archive, "--cross-check")
    differences = [line for line in done.stderr.splitlines() if not (known and known.search(line))]
    assert done.returncode in (0, 3), done.stderr
    assert not differences
    return done.stdout


def refused(tmp_path: Path, module, args, *, training=False) -> str:
    """The error report of a program that cannot be imported."""
    if not isinstance(module, nn.Module):
        module = Wrap(module)
    program = torch.export.export(module.train(training), args)
    archive = tmp_path / "model.pt2"
    torch.export.save(program, archive)
    done = dump(archive)
    assert done.returncode == 1, done.stdout
    return done.stderr


# --- groups of ops ------------------------------------------------------------


def unary_ops(x):
    names = (
        "neg abs sign floor ceil trunc round frac sqrt rsqrt reciprocal exp exp2 expm1 log log2 "
        "log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid "
        "relu square isnan isinf isfinite logical_not"
    )
    return [getattr(torch, name)(x) for name in names.split()]


def activations(x):
    names = (
        "silu gelu hardtanh relu6 hardswish hardsigmoid leaky_relu elu selu celu softplus mish "
        "hardshrink softsign tanhshrink"
    )
    results = [getattr(F, name)(x) for name in names.split()]
    return [*results, F.gelu(x, approximate="tanh"), F.threshold(x, 0.1, 2.0), F.glu(x, dim=0)]


def binary_ops(x, y):
    i = (x * 10).to(torch.int64)
    half = x.to(torch.bfloat16)
    return [
        *(x + y, x - y, x * y, x / y, x // y, x % y, torch.fmod(x, y), torch.atan2(x, y)),
        *(x + 2, 2 - x, x * 3, x / 2, 2 / x, x // 2, x % 2, torch.add(x, y, alpha=3)),
        *(x < y, x <= 1, x > y, x >= 1, x == y, x != 0, torch.maximum(x, y)),
        *(torch.minimum(x, y), x.clamp(0, 1), x.clamp_min(0), x.clamp_max(2)),
        *(torch.clamp(x, y, y + 1), i.clamp(0, 0.5), i / 2, i // 3, i % 3, i + 1.5, i & 3, i | 1),
        *(i ^ 2, ~i, half * 0.1, half / 3, half + 1, half + x, i + half),
        *(x**2, x**3, x**0.5, x**-1, x**-0.5, x**1, x**0, x**2.5, i**2, i**5, 2.0**x, x**y),
        *(torch.where(x > 0, x, y), torch.where(x > 0, x, 0.0), x.masked_fill(x > 0, -1.0)),
        *(torch.addcmul(x, x, y, value=0.5), torch.addcdiv(x, x, y), torch.lerp(x, y, 0.3)),
        *(torch.logical_and(x, y), torch.logical_or(x, y), torch.logical_xor(x, y)),
        *(torch.div(x, y, rounding_mode="floor"), torch.div(x, y, rounding_mode="trunc")),
        *(torch.rsub(x, y, alpha=2), torch.nan_to_num(x), (x > 0) & (y > 0), (x > 0) + i),
        *(x + torch.tensor(2.0, dtype=torch.float64), half + torch.tensor(2.0)),
    ]


def reductions(x):
    i = (x * 10).to(torch.int32)
    half = x.to(torch.float16)
    return [
        *(x.sum(), x.sum(1), x.sum((0, -1), keepdim=True), x.mean(), x.mean(-1, keepdim=True)),
        *(x.prod(), x.prod(1), x.amax(1), x.amin((0, 1)), x.max(), x.min()),
        *x.max(1),
        *x.min(-1, keepdim=True),
        *(x.argmax(), x.argmax(1), x.argmin(0, keepdim=True), (x > 0).any(), (x > 0).all(1)),
        *(x.var(), x.var(1), x.std((0, 1)), x.var(1, correction=0), x.std(-1, unbiased=False)),
        *torch.var_mean(x, 1),
        *(i.sum(), i.sum(1), i.sum(0, dtype=torch.float32), half.sum(1), half.mean(0), half.var(1)),
        *(x.norm(), x.norm(dim=1), x.norm(p=1, dim=0), torch.linalg.vector_norm(x, 3, 1)),
        *(torch.linalg.vector_norm(x, float("inf"), -1, keepdim=True), F.normalize(x, dim=-1)),
        *(x.softmax(-1), x.log_softmax(0), half.softmax(1, dtype=torch.float32)),
        *(torch.logsumexp(x, 1), torch.logsumexp(x, (0, 1), keepdim=True)),
        F.layer_norm(x, x.shape[-1:]),
    ]


def views(x):  # [4, 6, 8]
    t = x.transpose(1, 2)
    return [
        *(t + 1, x.permute(2, 0, 1), x.view(24, 8), x.view(-1), x.view(4, -1, 2), x.flatten(1)),
        *(t.flatten(1), t.reshape(4, 48), x.unflatten(2, (2, -1)), x.movedim(0, 2), x[0], x[:, 1]),
        *(x[..., -1], x[:, ::2], x[1:3, 2:, :-1], x.narrow(1, 2, 3), x.select(2, -2)),
        *(x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(1).squeeze(1), x[:1].squeeze()),
        *(x[:1].expand(5, 6, 8), x[0].expand(3, -1, -1), x[:, :1].expand_as(x)),
        *x.split(2),
        *x.split(4, 1),
        *x.split([1, 5], 1),
        *x.chunk(3, 2),
        *x.unbind(0),
        *(x.diagonal(), x.diagonal(1, 1, 2), x.unfold(1, 3, 2), x[0].t(), x.mT),
        *(t.contiguous(), x.contiguous(), t.clone(), x.as_strided((3, 2), (2, 7), 5)),
        *(x.swapaxes(0, 2), t.view_as(t), t.reshape_as(x), x.detach(), t[:, 1:].clone()),
        *(t.to(torch.float64), t.to(torch.float64, memory_format=torch.contiguous_format)),
        *(t.type_as(x.int()), x.float(), t.bool(), t[:, ::2].half()),
    ]


def creation(x):
    return [
        *(torch.zeros(3, 2), torch.ones(2, dtype=torch.int32), torch.full((2,), 7), torch.eye(3)),
        *(torch.full((2, 2), 1.5), torch.arange(5), torch.arange(1, 9, 2), torch.arange(0, 1, 0.3)),
        *(torch.zeros_like(x), torch.ones_like(x.mT), torch.full_like(x, 3), x.new_zeros(4)),
        *(x.new_ones(2, 3), x.new_full((2,), 1), x.tril(), x.triu(1), torch.scalar_tensor(2)),
        *(torch.arange(4, dtype=torch.float32), torch.tensor([1, 2]), x.tril(-1)),
    ]


def moving(x, ids):  # [4, 6, 8], int64 in [0, 4)
    t = x.transpose(0, 2)
    return [
        *(x[ids], x[:, ids], x.index_select(1, ids), F.embedding(ids, x[0])),
        *(
            torch.cat([x, x], 1),
            torch.cat([x, x.int()], -1),
            torch.stack([x, x]),
            t.repeat(2, 1, 1),
        ),
        *(torch.stack([t, t], 1), torch.stack([t, t], -1), x.repeat(2, 1, 1, 3), x.flip(0)),
        *(x.repeat_interleave(2, 1), t.flip(1, 2), x.roll(2, 1), x.roll(3), F.pad(x, (1, 2))),
        *(F.pad(x, (0, 0, 1, 1), value=3.0), F.pad(t, (-1, -1)), F.pad(x, (2, -1)), x.tile(2)),
        *(torch.diff(x), torch.diff(t, dim=0)),
    ]


def products(a, b, v):  # [5, 4, 6], [5, 6, 3], [6]
    half = a.to(torch.bfloat16)
    return [
        *(a @ b, a @ b[0], a[0] @ b, v @ b, a @ v, a[0] @ v, v @ v, torch.bmm(a, b), a @ a.mT),
        *(torch.mm(a[0], b[0]), torch.mv(a[0], v), torch.outer(v, v), half @ half.mT),
        *(torch.addmm(v[:3], a[0], b[0]), torch.baddbmm(a[:, :, :3], a, b, beta=0.5, alpha=2)),
        *(F.linear(a, b[0].t()), F.linear(v, b[0].t(), v[:3]), torch.dot(v, v)),
        a.mT.reshape(5, 24) @ a.reshape(24, 5),
    ]


def attention(q, k, v, mask):
    t = [x.transpose(1, 2) for x in (q, k, v)]
    sdpa = F.scaled_dot_product_attention
    return [
        *(sdpa(*t), sdpa(*t, mask), sdpa(*t, is_causal=True), sdpa(*t, scale=0.5)),
        *(sdpa(q, k, v), sdpa(t[0], t[1][:, :1], t[2][:, :1], enable_gqa=True)),
        *(sdpa(q[0], k[0], v[0]), sdpa(*t, mask > 0)),
    ]


X = torch.randn(4, 6, 8)
GROUPS = {
    "unary": (unary_ops, (X,)),
    "unary_permuted": (unary_ops, (X.permute(2, 0, 1),)),
    "unary_sliced": (unary_ops, (X[:, ::2],)),
    "unary_int": (lambda x: [x.exp(), x.sqrt(), x.neg(), x.floor(), x.abs(), x.sigmoid()],
                  (torch.arange(6),)),
    "activations": (activations, (X,)),
    "activations_permuted": (activations, (X.permute(2, 0, 1),)),
    "binary": (binary_ops, (X, X + 1)),
    "binary_broadcast": (binary_ops, (X.permute(2, 0, 1), torch.randn(4, 1))),
    "reductions": (reductions, (X,)),
    "reductions_permuted": (reductions, (X.permute(2, 0, 1),)),
    "views": (views, (X,)),
    "creation": (creation, (X,)),
    "moving": (moving, (X, torch.tensor([[0, 1], [3, 2]]).flatten())),
    "products": (products, (torch.randn(5, 4, 6), torch.randn(5, 6, 3), torch.randn(6))),
    "attention": (attention, (*(torch.randn(2, 5, 4, 16) for _ in range(3)), torch.randn(5, 5))),
    "channels_last": (
        lambda x, y: [x.relu(), x + y, x * 2, torch.cat([x, x], 1), x.clone(), x.sum(1), x.mT,
                      x.contiguous(), x.double(), F.pad(x, (1, 1)), torch.zeros_like(x)],
        (torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.randn(3, 1, 1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_value_is_the_exporters(tmp_path, group, decomposed):
    function, args = GROUPS[group]
    known = EXPORTER_IS_WRONG if group == "binary_broadcast" else None
    imported(tmp_path, function, args, decomposed=decomposed, known=known)


def test_the_exporter_and_eager_differ_where_we_say_so():
    x, y = GROUPS["binary_broadcast"][1]
    assert (x // y).stride() == x.stride()
    assert (2.0**x).is_contiguous()


def test_one_hot(tmp_path):
    text = imported(tmp_path, lambda x: F.one_hot(x, 4), (torch.arange(3),))
    assert "rt.index " in text  # checks the range when it runs


# --- models -------------------------------------------------------------------


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, 4))

    def forward(self, x):
        return self.layers(x)


def bert() -> tuple[nn.Module, tuple, dict]:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        vocab_size=100, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()

    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    batch, sequence = Dim("batch", min=1, max=8), Dim("sequence", min=2, max=64)
    ids = torch.randint(0, 100, (2, 7))
    shapes = ({0: batch, 1: sequence}, {0: batch, 1: sequence})
    return Hidden(), (ids, torch.ones_like(ids)), shapes


class Block(nn.Module):
    """A causal transformer block in the style of GPT-2, with a mask made of sizes."""

    def __init__(self, width: int = 32, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.positions = nn.Embedding(64, width)

    def forward(self, x):
        batch, length, width = x.shape
        x = x + self.positions(torch.arange(length))
        q, k, v = (
            t.view(batch, length, self.heads, -1).transpose(1, 2)
            for t in self.qkv(self.norm(x)).split(width, dim=2)
        )
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        mask = torch.tril(torch.ones(length, length, dtype=torch.bool))
        scores = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        y = (scores @ v).transpose(1, 2).contiguous().view(batch, length, width)
        x = x + self.out(y)
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


def gpt() -> tuple[nn.Module, tuple, dict]:
    shapes = ({0: Dim("batch", min=1, max=8), 1: Dim("length", min=2, max=64)},)
    return nn.Sequential(Block(), Block()), (torch.randn(2, 7, 32),), shapes


def mlp() -> tuple[nn.Module, tuple, dict]:
    return Mlp(), (torch.randn(3, 6),), {"x": {0: Dim("batch", min=1, max=64)}}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("build", [mlp, bert, gpt])
def test_models(tmp_path, build, decomposed):
    model, args, shapes = build()
    text = imported(tmp_path, model, args, decomposed=decomposed, dynamic_shapes=shapes)
    assert "func.func @forward" in text


# --- the form -----------------------------------------------------------------


def test_in_place_ops_write_to_what_they_view(tmp_path):
    def function(x, y):
        z = x + 1
        z[1:].mul_(2.0)
        z.view(-1)[::2].copy_(y)
        z.t().relu_()
        z.masked_fill_(z > 3, 0.0)
        return z

    text = imported(tmp_path, function, (torch.randn(4, 6), torch.randn(12)))
    assert len(re.findall(r"rt\.write", text)) == 4
    assert re.search(r"rt\.write %\w+ into %\w+ : <12xf32> into "
                     r"<12xf32, strided<\[2\]>>", text)  # fmt: skip


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(3))
        self.register_buffer("unchanged", torch.ones(3))

    def forward(self, x):
        self.count.add_(x)
        x.mul_(2)
        return x * self.count + self.unchanged


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_mutated_buffers_and_inputs(tmp_path, decomposed):
    text = imported(tmp_path, Counter(), (torch.randn(3),), decomposed=decomposed)
    assert re.search(r'rt.parameter "count" storage \d+ mutated', text)
    assert re.search(r'rt.parameter "unchanged" storage \d+ loc|"unchanged" storage \d+ :', text)
    assert len(re.findall(r"rt\.write", text)) == 2
    assert re.search(r"rt\.write %\w+ into %arg0", text)


def test_the_contract_lists_every_argument_and_result(tmp_path):
    class Mixed(nn.Module):
        def forward(self, d, scale, flag, *, bias=None):
            return {"y": d["k"] * scale, "n": d["k"].shape[0] + 1, "none": bias, "flag": flag}, d[
                "k"
            ]

    program = torch.export.export(
        Mixed(), ({"k": torch.randn(4, 3)}, 2.5, True),
        dynamic_shapes={"d": {"k": {0: Dim("n", min=2, max=9)}}, "scale": None, "flag": None},
    )  # fmt: skip
    torch.export.save(program, tmp_path / "m.pt2")
    done = dump(tmp_path / "m.pt2", "--cross-check")
    assert done.returncode == 0, done.stderr
    arguments = re.search(r"rt.arguments = \[(.*?)\], rt", done.stdout)[1]
    assert re.search(r'index = 0 : i64, kind = "tensor", name = "d_k"', arguments)
    assert re.search(r'kind = "constant", name = "scale", value = 2.5', arguments)
    assert re.search(r'kind = "constant", name = "flag", value = true', arguments)
    results = re.search(r"rt.results = \[(.*?)\], rt.symbols", done.stdout)[1]
    assert re.search(r'kind = "int", value = #rt.expr<s\d+ \+ 1>', results)
    assert re.search(r'kind = "constant", value\}', results)  # None
    assert re.search(r'index = 1 : i64, kind = "tensor", name = "d_k"', results)
    assert re.search(r'#rt.symbol<"s\d+", 2, 9, 4>', done.stdout)


def test_relations_that_the_exporter_leaves_out_become_guards(tmp_path):
    """Without the exporter's own relations, the view's number of elements is checked."""
    program = torch.export.export(
        Wrap(lambda x: x.view(-1, 2)),
        (torch.randn(4, 3),),
        dynamic_shapes={"args": ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)},
    )
    torch.export.save(program, tmp_path / "model.pt2")
    bare = tmp_path / "bare.pt2"
    archives.rewrite_graph(tmp_path / "model.pt2", bare, lambda graph: graph.update(guards_code=[]))
    done = dump(bare)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r'#rt.guard<"eq", <s\d+\*s\d+>, <2\*floordiv\(s\d+\*s\d+, 2\)>, '
        r"\"layout of 'view' \(aten.view.default\)\", \"test_import.py:\d+\">",
        done.stdout,
    )


def test_relations_between_sizes_become_guards(tmp_path):
    def function(x):
        return x.view(-1, 2)

    args = (torch.randn(4, 3),)
    shapes = {"args": ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)}
    # The exporter writes the size 2 as n // (n // 2).
    known = re.compile("cross-check of 'view': sizes")
    text = imported(tmp_path, function, args, dynamic_shapes=shapes, known=known)
    assert re.search(r'#rt.guard<"eq", <mod\(s\d+\*s\d+, 2\)>, <0>, "exported with', text)


def test_locations_name_the_node_and_the_line(tmp_path):
    text = imported(tmp_path, Mlp(), (torch.randn(3, 6),))
    assert re.search(r'rt.linear .* loc\("linear"\("[^"]+":\d+:1\)\)', text) or re.search(
        r'loc\("linear"\(#loc\d+\)\)', text
    )


# --- what is refused ----------------------------------------------------------


def test_unsupported_ops_are_reported_at_once(tmp_path):
    def function(x):
        inverse = torch.linalg.inv(x) + torch.linalg.inv(x + 1)
        return inverse + torch.fft.fft(x).real + torch.linalg.det(x)

    report = refused(tmp_path, function, (torch.randn(3, 3),))
    assert re.search(
        r"aten.linalg_inv.default, 2 times: 'linalg_inv' at test_import.py:\d+", report
    )
    assert "aten.linalg_det.default, 1 time" in report
    assert "dtype complex64" in report
    assert "run_decompositions()" in report


def test_dropout_in_training_mode_is_refused(tmp_path):
    report = refused(tmp_path, nn.Dropout(), (torch.randn(3, 6),), training=True)
    assert "dropout in training mode" in report


def test_data_dependent_sizes_are_refused(tmp_path):
    report = refused(tmp_path, lambda x: x[x > 0], (torch.randn(3),))
    assert "depends on data" in report


class Idle(torch.nn.Module):
    """Computes what nothing uses, with ops that have no rule."""

    def forward(self, x):
        chance = torch.rand([]) < 0.1
        torch.where(chance, x, torch.fft.fft(x).real)
        return x + 1


@pytest.mark.parametrize("decomposed", [False, True])
def test_what_nothing_uses_needs_no_support(tmp_path, decomposed):
    x = torch.randn(3, 5)
    harness.compile_module(tmp_path, Idle(), (x,), decomposed=decomposed).check(x)
