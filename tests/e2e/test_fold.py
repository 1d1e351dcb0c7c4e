"""What depends on parameters alone is computed while compiling."""

import harness
import pytest
import torch
from torch.nn import functional


class Scaled(torch.nn.Module):
    """Weights that are computed from parameters, in value and in layout."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(33, 17)
        self.gain = torch.nn.Parameter(torch.rand(17, 1))
        self.norm = torch.nn.BatchNorm1d(17)
        self.position = torch.nn.Embedding(32, 17)
        torch.nn.init.uniform_(self.norm.running_mean, -1, 1)
        torch.nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x):
        y = functional.linear(x, self.linear.weight * self.gain, self.linear.bias)
        y = self.norm(y) + self.position(torch.arange(3, 4))
        return y, self.gain * 2, (self.gain + 1).t()


def test_folds_weights(tmp_path):
    model = Scaled().eval()
    x = torch.randn(5, 33)
    compiled = harness.compile_module(tmp_path, model, (x,))
    compiled.check(x)
    # weight, bias (all that is added is) and the first result; one that is a view stays
    assert compiled.report["folded_constants"] == 3
    # Results are memory of their own: writing to one changes no later run.
    compiled(x)[1].fill_(7)
    compiled.check(x)


class Buffered(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x):
        y = x + (self.count * 2).exp()
        self.count.add_(1)
        return y


def test_mutated_buffers_do_not_fold(tmp_path):
    x = torch.randn(4)
    compiled = harness.compile_module(tmp_path, Buffered(), (x,))
    assert compiled.report["folded_constants"] == 0
    compiled.check(x)
    compiled.check(x)


class Expanded(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.row = torch.nn.Parameter(torch.randn(64))

    def forward(self, x):
        return x + (self.row[:, None] * self.row[None, :]).sin()


def test_large_values_of_small_parameters_do_not_fold(tmp_path):
    x = torch.randn(64, 64)
    compiled = harness.compile_module(tmp_path, Expanded(), (x,))
    assert compiled.report["folded_constants"] == 0
    compiled.check(x)


class OutOfRange(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(8, 4)
        self.register_buffer("ids", torch.tensor([1, 9]))

    def forward(self, x):
        return x + self.table(self.ids)


def test_errors_of_constants_are_errors_of_the_run(tmp_path):
    model = OutOfRange()
    model.ids[1] = 2
    program = harness.export(model, (torch.randn(2, 4),))
    program.state_dict["ids"][1] = 9
    compiled = harness.compile_program(tmp_path, model, program)
    with pytest.raises(Exception, match="index out of range"):
        compiled(torch.randn(2, 4))


class Shifted(torch.nn.Module):
    """Parameters at places that a dynamic size tells: constants of no compile."""

    def __init__(self):
        super().__init__()
        self.position = torch.nn.Embedding(32, 5)
        self.scale = torch.nn.Parameter(torch.rand(32, 5))

    def forward(self, x):
        n = x.shape[0]
        place = torch.arange(n, n + 2)
        return x.sum(0) * self.position(place), self.scale[n : n + 1] * 2, self.scale[n] + n


@pytest.mark.parametrize("decomposed", [False, True])
def test_what_depends_on_a_dynamic_size_does_not_fold(tmp_path, decomposed):
    n = torch.export.Dim("n", min=1, max=30)
    compiled = harness.compile_module(
        tmp_path,
        Shifted(),
        (torch.randn(7, 5),),
        dynamic_shapes=({0: n},),
        decomposed=decomposed,
    )
    for size in (7, 1, 30):
        compiled.check(torch.randn(size, 5))


class WeightNormed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        normed = torch.nn.utils.parametrizations.weight_norm
        self.convolution = normed(torch.nn.Conv1d(4, 6, 3), dim=2)
        self.rows = normed(torch.nn.Linear(5, 3))
        self.whole = normed(torch.nn.Linear(5, 3), dim=None)
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, 0.1, 1)

    def forward(self, x):
        return self.convolution(x), self.rows(x), self.whole(x)


@pytest.mark.parametrize("decomposed", [False, True])
def test_normed_weights_fold(tmp_path, decomposed):
    x = torch.randn(2, 4, 5)
    compiled = harness.compile_module(tmp_path, WeightNormed().eval(), (x,), decomposed=decomposed)
    compiled.check(x)
    assert compiled.report["folded_constants"] == 3
