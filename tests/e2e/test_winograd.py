"""3x3 convolutions by minimal filtering, against eager PyTorch."""

import harness
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim


def filtered(compiled: harness.Compiled, *options: str) -> int:
    """How many convolutions of the program are computed that way."""
    emitted = harness.succeed("rtorch-compile", compiled.archive, "--emit", "schedule", *options)
    return emitted.stdout.count(" winograd :")


class Block(torch.nn.Module):
    """A convolution and what may be computed with its results."""

    def __init__(self, inputs: int, outputs: int, after: str = "", **options):
        super().__init__()
        self.after = after
        self.conv = torch.nn.Conv2d(inputs, outputs, 3, **options)
        self.norm = torch.nn.BatchNorm2d(outputs)
        torch.nn.init.normal_(self.norm.weight)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        if self.after == "norm":
            return self.norm(y)
        if self.after == "residual":
            return F.relu(self.norm(y) + x)
        if self.after == "pool":
            return F.max_pool2d(F.relu(y), 2)
        if self.after == "overlapping pool":
            return F.max_pool2d(y, 3, stride=2, padding=1)
        if self.after == "wide pool":
            return F.max_pool2d(y, (1, 2))
        if self.after == "mean":
            return F.gelu(y).mean((2, 3))
        return y


def images(*sizes: int, last: bool = True) -> torch.Tensor:
    """Random images, the channels last in memory."""
    form = torch.channels_last if last else torch.contiguous_format
    return torch.randn(sizes).contiguous(memory_format=form)


AFTER = ["", "norm", "residual", "pool", "overlapping pool", "wide pool", "mean"]


@pytest.mark.parametrize("sizes", [(16, 24), (17, 25)], ids=["even", "odd"])
@pytest.mark.parametrize("after", AFTER)
def test_what_follows(tmp_path, after, sizes):
    block = Block(32, 32, after, padding=1).eval()
    for i, last in enumerate((True, False)):
        folder = tmp_path / str(i)
        folder.mkdir()
        args = (images(2, 32, *sizes, last=last),)
        compiled = harness.compile_module(folder, block, args)
        assert filtered(compiled) == 1
        compiled.check(*args)


@pytest.mark.parametrize(
    ("inputs", "outputs", "options"),
    [
        (16, 16, {}),
        (20, 70, {"padding": 1}),
        (35, 17, {"padding": 2, "bias": False}),
        (64, 32, {"padding": (0, 1)}),
        (16, 48, {"padding": "same"}),
        (36, 64, {"padding": 1, "groups": 2}),
        (300, 130, {"padding": 1}),
    ],
)
def test_channels_and_borders(tmp_path, inputs, outputs, options):
    args = (images(3, inputs, 13, 16),)
    compiled = harness.compile_module(tmp_path, Block(inputs, outputs, **options).eval(), args)
    assert filtered(compiled) == 1
    compiled.check(*args)


def test_a_dynamic_batch(tmp_path):
    batch = Dim("batch", max=64)
    compiled = harness.compile_module(
        tmp_path,
        Block(32, 48, "pool", padding=1).eval(),
        (images(4, 32, 15, 12),),
        dynamic_shapes=({0: batch},),
    )
    assert filtered(compiled) == 1
    for count in (1, 2, 13):
        compiled.check(images(count, 32, 15, 12))


def test_dynamic_images(tmp_path):
    height, width = Dim("height", min=3, max=200), Dim("width", min=3, max=200)
    compiled = harness.compile_module(
        tmp_path,
        Block(16, 32, "norm", padding=1).eval(),
        (images(2, 16, 12, 14),),
        dynamic_shapes=({2: height, 3: width},),
    )
    assert filtered(compiled) == 1
    for sizes in ((12, 14), (3, 3), (31, 4), (5, 77), (64, 64)):
        compiled.check(images(2, 16, *sizes))


class Given(torch.nn.Module):
    """A convolution whose filters are an argument."""

    def forward(self, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.relu(F.conv2d(x, w, b, padding=1))


@pytest.mark.parametrize(("size", "expected"), [(32, 1), (16, 0)])
def test_filters_that_are_arguments(tmp_path, size, expected):
    w = torch.randn(48, 16, 3, 3)
    args = (images(1, 16, size, size), w, torch.randn(48))
    compiled = harness.compile_module(tmp_path, Given().eval(), args)
    assert filtered(compiled) == expected
    compiled.check(*args)
    other = (args[0], w.transpose(2, 3), args[2])
    harness.compile_module(tmp_path, Given().eval(), other).check(*other)


def test_where_it_is_not_used(tmp_path):
    for i, (block, x) in enumerate(
        [
            (Block(16, 16, stride=2), images(1, 16, 40, 40)),
            (Block(16, 16, dilation=2), images(1, 16, 40, 40)),
            (Block(8, 32), images(1, 8, 40, 40)),
            (Block(32, 8), images(1, 32, 40, 40)),
            (Block(32, 32, padding=1), images(1, 32, 8, 8)),
            (Block(32, 32, padding=1).double(), images(1, 32, 40, 40).double()),
        ]
    ):
        folder = tmp_path / str(i)
        folder.mkdir()
        compiled = harness.compile_module(folder, block.eval(), (x,))
        assert filtered(compiled) == 0
        compiled.check(x)


def test_bfloat16_is_computed_in_float32(tmp_path):
    x = images(1, 32, 20, 20).bfloat16()
    block = Block(32, 32, padding=1).bfloat16().eval()
    compiled = harness.compile_module(tmp_path, block, (x,))
    assert filtered(compiled) == 1
    compiled.check(x)


def test_it_can_be_turned_off(tmp_path):
    """An infinite input then makes no other pixels NaN than in eager PyTorch."""
    block = Block(32, 32, "residual", padding=1).eval()
    x = images(1, 32, 16, 16)
    x[0, 3, 7, 7] = torch.inf
    compiled = harness.compile_module(tmp_path, block, (x,), "--no-winograd")
    assert filtered(compiled, "--no-winograd") == 0
    compiled.check(x)


@given(st.data())
def test_any_sizes(tmp_path_factory, data):
    draw = data.draw
    inputs, outputs = draw(st.integers(16, 50)), draw(st.integers(16, 90))
    sizes = draw(st.tuples(st.integers(11, 40), st.integers(11, 40)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    after = draw(st.sampled_from([a for a in AFTER if a != "residual"]))
    block = Block(inputs, outputs, after, padding=padding).eval()
    x = images(draw(st.integers(1, 3)), inputs, *sizes, last=draw(st.booleans()))
    harness.check_module(tmp_path_factory.mktemp("sizes"), block, (x,), both_forms=False)
