"""Ops that give a new tensor give one where they change nothing, too, and views stay views."""

import harness
import optable
import pytest
import torch
import torch.nn.functional as F

# Of x, of sizes [3, 4, 1]: each is the same numbers as x, or as a part of it.
ROWS = {
    "copies": [
        lambda x: torch.zeros_like(x).copy_(x),
        lambda x: x.clone(),
        lambda x: x.to(torch.float32, copy=True),
        lambda x: torch.alias_copy(x),
        lambda x: torch.detach_copy(x),
        lambda x: torch.view_copy(x, (4, 3)),
        lambda x: torch.expand_copy(x, (3, 4, 1)),
        lambda x: torch.squeeze_copy(x),
        lambda x: torch.unsqueeze_copy(x, 0),
        lambda x: torch.select_copy(x, 0, 0),
        lambda x: torch.slice_copy(x, 0, 0, 2),
        lambda x: torch.permute_copy(x, (0, 1, 2)),
        lambda x: torch.split_copy(x, 2)[0],
        lambda x: torch.split_with_sizes_copy(x, [3])[0],
        lambda x: torch.unbind_copy(x)[0],
        lambda x: torch.as_strided_copy(x, (3,), (1,)),
    ],
    "moved": [
        lambda x: x.repeat(1, 1, 1),
        lambda x: x.roll(0, 0),
        lambda x: torch.cat([x]),
        lambda x: torch.stack([x])[0],
        lambda x: torch.hstack([x]),
        lambda x: torch.block_diag(x[:, :, 0]),
        lambda x: F.pad(x, (0, 0)),
        lambda x: x.triu(-9),
        lambda x: torch.repeat_interleave(x, 1, 0),
        lambda x: x.index_select(0, torch.arange(3)),
        lambda x: torch.slice_scatter(x, x, 0),
        lambda x: torch.index_add(x, 0, torch.zeros(0, dtype=torch.int64), x[:0]),
        lambda x: F.interpolate(x, size=1),
        lambda x: F.channel_shuffle(x[None], 1),
        lambda x: F.pixel_shuffle(x[None], 1),
        lambda x: F.unfold(x[None], 1),
    ],
    "folded": [
        lambda x: x.sum(-1, keepdim=True),
        lambda x: x.amax(-1, keepdim=True),
        lambda x: x.mean(-1),
        lambda x: x.max(-1)[0],
        lambda x: x.median(-1)[0],
        lambda x: x.cumsum(-1),
        lambda x: x.sort(-1)[0],
        lambda x: x.topk(1, -1)[0],
        lambda x: F.adaptive_avg_pool1d(x, 1),
        lambda x: torch.einsum("abc->ab", x),
        lambda x: torch.chain_matmul(x[:, :, 0]),
        lambda x: torch.linalg.matrix_power(x[:1, :1, 0], 1),
        lambda x: torch.diff(x, n=0),
        lambda x: torch.native_dropout(x, 0.5, False)[0],
        lambda x: x + 0,
        lambda x: x**1,
        lambda x: x.positive() * 1,
        lambda x: x.to(torch.int32).round(),
    ],
    "views": [
        lambda x: x.contiguous(),
        lambda x: x.float(),
        lambda x: x.reshape(4, 3),
        lambda x: x.ravel(),
        lambda x: x.positive(),
        lambda x: x.expand_as(x),
        lambda x: torch.einsum("abc->abc", x),
        lambda x: torch.broadcast_tensors(x)[0],
        lambda x: F.dropout(x, 0.5, False),
        lambda x: x.sum_to_size(3, 4, 1),
        lambda x: x.movedim(0, 0),
        lambda x: torch.cartesian_prod(x[:, 0, 0]),
    ],
}


@pytest.mark.parametrize("name", ROWS)
def test_results_share_memory_as_those_of_eager(tmp_path, name):
    model = optable.Function(lambda x: tuple(row(x) for row in ROWS[name]))
    x = torch.randn(3, 4, 1)
    compiled = harness.compile_program(tmp_path, model, harness.export(model, (x,)))
    compiled.check(x)
    shared = harness.aliases(compiled(x), [x])
    assert len(shared) == (len(ROWS[name]) if name == "views" else 0)


# Of an activation whose channels the compiler puts innermost.
PARTS = {
    "half": lambda y: (y[:, 4:], y[:, :4].sin()),
    "halves": lambda y: y.chunk(2, 1),
    "whole and part": lambda y: (y, y[:, 2:5]),
    "chains": lambda y: (y[:, 4:].transpose(1, 3)[1:], y[0], y.movedim(1, 3)),
    "flattened": lambda y: (y.flatten(2)[:, :, 3:], y[:, 1:].flatten(2)),
    "as_strided": lambda y: (y, y.as_strided((3, 2), (7, 1), 11)),
}


@pytest.mark.parametrize("name", PARTS)
def test_results_are_views_of_an_activation(tmp_path, name):
    convolution = torch.nn.Conv2d(3, 8, 3)
    model = optable.Function(lambda x: PARTS[name](convolution(x)))
    model.convolution = convolution
    x = torch.randn(2, 3, 7, 7)
    compiled = harness.compile_program(tmp_path, model, harness.export(model, (x,)))
    compiled.check(x)
