"""Numbers that are computed from dynamic sizes, as arguments of ops."""

import harness
import pytest
import torch
from torch.export import Dim
from torch.nn import functional

CASES = {
    "add": lambda x: x + x.shape[0],
    "alpha": lambda x: torch.add(x, x, alpha=x.shape[0]),
    "product_with_a_float": lambda x: x * (x.shape[0] + 0.5),
    "true_quotient": lambda x: x * (x.shape[0] / 2),
    "floor_quotient": lambda x: x * (x.shape[0] // 2),
    "modulus": lambda x: x * (x.shape[0] % 3),
    "larger": lambda x: x * max(x.shape[0], 7),
    "power": lambda x: x * (x.shape[0] ** 0.5),
    "quotient_by_root": lambda x: x / (x.shape[0] ** 0.5),
    "inverse": lambda x: torch.lerp(x, x + 1, 1 / x.shape[0]),
    "mean": lambda x: x.sum(0) / x.shape[0],
    "clamp": lambda x: x.clamp(max=x.shape[0] - 4),
    "exponent": lambda x: x.abs().pow(x.shape[0] - 3),
    "full": lambda x: torch.full((x.shape[0], 2), x.shape[0]),
    "full_of_floats": lambda x: torch.full((x.shape[0], 2), x.shape[0] / 4),
    "integer_of_float": lambda x: x.long() * (x.shape[0] / 2),
    "arange": lambda x: torch.arange(x.shape[0], 2 * x.shape[0]),
    "triangle": lambda x: x.tril(x.shape[0] - 4),
    "roll": lambda x: x.roll(x.shape[0] - 2, 1),
    "roll_back": lambda x: x.roll(3 - x.shape[0], 1),
    "roll_along_the_dynamic_dim": lambda x: x.roll(x.shape[0] - 2, 0),
    "pad": lambda x: functional.pad(x, (x.shape[0] - 3, 1)),
    "pad_to_a_size": lambda x: functional.pad(x, (0, 0, 0, 10 - x.shape[0])),
    "largest": lambda x: x.topk(x.shape[0] - 2, 0)[0],
    "last": lambda x: x[x.shape[0] - 1],
    "last_ones": lambda x: x[x.shape[0] - 3 :],
    "repeat": lambda x: x.repeat(x.shape[0], 1),
    "identity": lambda x: torch.eye(x.shape[0]),
    "resize": lambda x: functional.interpolate(x[None, None], size=(x.shape[0] * 2, 5)),
    "resize_by_half": lambda x: functional.interpolate(
        x[None, None], scale_factor=(1.5, 2.0), mode="bilinear"
    ),
    "windows": lambda x: x.unfold(0, 2, 1),
}


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_of_dynamic_sizes(tmp_path, name, decomposed):
    compiled = harness.compile_module(
        tmp_path,
        Module(CASES[name]),
        (torch.randn(6, 5),),
        dynamic_shapes=({0: Dim("n", min=4, max=10)},),
        decomposed=decomposed,
    )
    for size in (6, 4, 9):
        compiled.check(torch.randn(size, 5))


def test_a_number_that_must_be_known_is_refused(tmp_path):
    """No op takes a default where the number is known at run time only."""
    program = torch.export.export(
        Module(lambda x: functional.conv1d(x.t(), torch.ones(1, 5, 3), padding=x.shape[0])),
        (torch.randn(6, 5),),
        dynamic_shapes=({0: Dim("n", min=4, max=10)},),
    )
    torch.export.save(program, tmp_path / "model.pt2")
    result = harness.command("rtorch-compile", tmp_path / "model.pt2", "-o", tmp_path / "model.rtm")
    assert result.returncode == 1
    assert (
        "expects a number for the argument 'padding' that is known when compiling" in result.stderr
    )
    assert not (tmp_path / "model.rtm").exists()


@pytest.mark.parametrize("change", ["squeeze_", "t_"])
def test_the_callers_sizes_cannot_change(tmp_path, change):
    module = Module(lambda x: getattr(x, change)() * 2)
    program = torch.export.export(module, (torch.randn(1, 5),))
    torch.export.save(program, tmp_path / "model.pt2")
    result = harness.command("rtorch-compile", tmp_path / "model.pt2", "-o", tmp_path / "model.rtm")
    assert result.returncode == 1
    assert "'x' is the caller's tensor, whose sizes and strides a module cannot" in result.stderr


def test_own_tensors_may_change_their_sizes(tmp_path):
    def reshape(x):
        y = x * 2
        z = y.add_(1)
        y.unsqueeze_(0)
        y.transpose_(0, 1)
        return y, z + 1, x[0].add_(1)

    harness.compile_module(tmp_path, Module(reshape), (torch.randn(3, 5),)).check(torch.randn(3, 5))


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_sizes_that_are_one_by_a_guard_are_broadcast(tmp_path, decomposed):
    """The last chunk has one element for one size alone, which the exporter demands."""

    class Model(torch.nn.Module):
        def forward(self, x, y):
            last = x.chunk(4)[2]
            return y + last, torch.where(y > last, last, y), torch.lerp(y, last, 0.25)

    args = (torch.randn(5), torch.randn(3))
    shapes = ({0: Dim.AUTO}, None)
    compiled = harness.compile_module(
        tmp_path, Model(), args, dynamic_shapes=shapes, decomposed=decomposed
    )
    compiled.check(*args)
