"""Traces on disk: models that a later process, or a later compilation, need not trace again."""

import copy
import os
import subprocess
import sys
import warnings

import builtpackage
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.utils import counters

rtorch = pytest.importorskip("rtorch", reason="the package is not built")


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def compiled(tmp_path):
    """Compiles with an empty cache, as a process that starts now would."""

    def compile_(model, **options):
        torch._dynamo.reset()
        counters.clear()
        options = {"cache_dir": str(tmp_path), "fallback": "error"} | options
        return torch.compile(model, backend="rtorch", options=options)

    return compile_


def found():
    return counters["aot_autograd"]["autograd_cache_hit"]


class Net(nn.Module):
    """A buffer that training writes, shared weights, and a result that views an input."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.head, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
        self.again.weight = self.head.weight

    def forward(self, x):
        y = F.relu(self.norm(self.convolution(x))).mean((2, 3))
        return self.again(F.gelu(self.head(y))), x[:, 0]


def step(model, x):
    model.zero_grad()
    result, view = model(x)
    result.square().mean().backward()
    return [result, view, *(p.grad.clone() for p in model.parameters()), *model.buffers()]


def test_a_training_step_is_found_again(compiled):
    torch.manual_seed(0)
    model, x = Net(), torch.randn(2, 3, 9, 9)
    expected = step(copy.deepcopy(model), x)
    for again in (False, True):
        ours = step(compiled(copy.deepcopy(model)), x)
        assert found() == again
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
        assert ours[1].untyped_storage()._cdata == x.untyped_storage()._cdata
        report = rtorch.last_report()
        assert [graph.kind for graph in report.graphs] == ["forward", "backward"]
        assert [m["cached"] for graph in report.graphs for m in graph.modules()] == [again] * 2
        assert report.native_nodes == sum(graph.nodes for graph in report.graphs) > 10


def test_inference_and_other_modes_are_other_traces(compiled):
    model, x = nn.Linear(4, 4), torch.randn(3, 4)
    for grad in (False, True, False, True):
        with torch.set_grad_enabled(grad):
            result = compiled(model)(x)
        assert result.requires_grad == grad
    assert found() == 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = compiled(model)(x)
    assert (result.dtype, found()) == (torch.bfloat16, 0)
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert compiled(lambda x: x + torch.ones(4))(x).dtype == torch.float64
    finally:
        torch.set_default_dtype(default)
    assert compiled(lambda x: x + torch.ones(4))(x).dtype == torch.float32


def test_random_numbers_follow_the_generator(compiled):
    x = torch.ones(1000)
    results = []
    for _ in range(2):
        fast = compiled(lambda x: F.dropout(x, 0.5))
        torch.manual_seed(3)
        results.append([fast(x), fast(x)])
    assert found() == 1
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert not torch.equal(*results[1])


def test_values_of_constants_are_no_secret_to_the_cache(compiled):
    x = torch.randn(3)
    for constant in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])):

        class Shift(nn.Module):
            def __init__(self, constant):
                super().__init__()
                self.constant = constant

            def forward(self, x):
                return x + self.constant

        for _ in range(2):
            traced = torch.fx.symbolic_trace(Shift(constant))
            torch.testing.assert_close(compiled(traced)(x), x + constant)


def write_one(a, b):
    a.mul_(2)
    return a + b


def test_inputs_that_share_memory(compiled):
    """PyTorch's key does not tell them from inputs that do not."""
    for _ in range(2):
        base, ours = torch.arange(6.0), torch.arange(6.0)
        expected = write_one(base[:4], torch.zeros(4))
        torch.testing.assert_close(compiled(write_one)(ours[:4], torch.zeros(4)), expected)
        base, ours = torch.arange(6.0), torch.arange(6.0)
        expected = write_one(base[:4], base[1:5])
        torch.testing.assert_close(compiled(write_one)(ours[:4], ours[1:5]), expected)
        torch.testing.assert_close(ours, base)


def test_dynamic_sizes_are_traced_in_each_process(compiled):
    for _ in range(2):
        fast = compiled(lambda x: x.softmax(-1))
        for n in (3, 5, 7):
            x = torch.randn(n, 4)
            torch._dynamo.mark_dynamic(x, 0)
            torch.testing.assert_close(fast(x), x.softmax(-1))
        assert found() == 0


def test_an_entry_without_its_module_is_made_again(compiled, tmp_path):
    x = torch.randn(4)
    compiled(torch.sin)(x)
    for file in tmp_path.glob("*.rtm"):
        file.unlink()
    torch.testing.assert_close(compiled(torch.sin)(x), x.sin())
    assert found() == 0
    torch.testing.assert_close(compiled(torch.sin)(x), x.sin())
    assert found() == 1


def test_a_damaged_entry_is_made_again(compiled, tmp_path):
    x = torch.randn(4)
    compiled(torch.sin)(x)
    [file] = [each for each in (tmp_path / "traces").rglob("*") if each.is_file()]
    file.write_bytes(file.read_bytes()[:50])
    torch.testing.assert_close(compiled(torch.sin)(x), x.sin())


def test_other_options_are_other_traces(compiled):
    x = torch.randn(4)
    compiled(torch.sin)(x)
    compiled(torch.sin, target_cpu="x86-64-v2")(x)
    assert found() == 0
    compiled(torch.sin, cache=False)(x)
    assert found() == 0
    compiled(torch.sin)(x)
    assert found() == 1


def test_what_runs_in_eager_pytorch_is_not_kept(compiled):
    x = torch.randn(8)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fast = compiled(lambda x: torch.fft.fft(x * 2).real, fallback="eager")
            torch.testing.assert_close(fast(x), torch.fft.fft(x * 2).real)
        assert [w for w in caught if issubclass(w.category, rtorch.FallbackWarning)]
        assert found() == 0


def test_a_graph_that_is_retained(compiled):
    model, x = (
        nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh()),
        torch.randn(2, 3),
    )
    expected = copy.deepcopy(model)
    for _ in range(2):  # traced, and found
        gradients = []
        for each in (compiled(model), expected):
            each.zero_grad()
            loss = each(x).sum()
            loss.backward(retain_graph=True)
            loss.backward()
            gradients.append([p.grad.clone() for p in each.parameters()])
        torch.testing.assert_close(*gradients)
    assert found() == 1


class Unknown(torch.autograd.Function):
    """Its backward needs what rtorch does not compile."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return torch.fft.fft(gradient).real


def test_a_backward_graph_that_is_refused_is_no_matter_to_the_forward_graph(compiled):
    x = torch.randn(8, requires_grad=True)
    result = compiled(Unknown.apply)(x)
    torch.testing.assert_close(result, x * 2)
    with pytest.raises(rtorch.UnsupportedOpError, match="fft"):
        result.sum().backward()


def test_traces_are_bounded(compiled, tmp_path):
    for i in range(6):
        compiled(lambda x, i=i: x * (i + 2), cache_bytes=100_000)(torch.randn(3))
    files = [each for each in (tmp_path / "traces").rglob("*") if each.is_file()]
    assert 1 <= len(files) < 6


PROCESS = """
import sys, torch
from torch import nn
from torch._dynamo.utils import counters
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 2))
fast = torch.compile(model, backend="rtorch", options={"fallback": "error"})
fast(torch.randn(3, 4)).sum().backward()
print(counters["aot_autograd"]["autograd_cache_hit"], model[0].weight.grad.tolist())
"""


def test_a_later_process_finds_the_trace(tmp_path):
    environment = os.environ | {
        "PYTHONPATH": str(builtpackage.PACKAGE),
        "RTORCH_CACHE": str(tmp_path),
    }
    said = [
        subprocess.run(
            [sys.executable, "-c", PROCESS],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(" ", 1)
        for _ in range(2)
    ]
    assert [hits for hits, _ in said] == ["0", "1"]
    assert said[0][1] == said[1][1]
