"""rtorch.compile, load and run_fx; the entry point; the typed package."""

import os
import subprocess
import sys

import pytest
import torch
from builtpackage import PACKAGE
from torch.fx.experimental.proxy_tensor import make_fx

rtorch = pytest.importorskip("rtorch", reason="the package is not built")

# Nothing but the package, and what a sanitized build needs.
BARE = {"PYTHONPATH": str(PACKAGE)} | {
    name: value for name, value in os.environ.items() if name in ("LD_PRELOAD", "ASAN_OPTIONS")
}


class Affine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, *, scale):
        self.calls += 1
        return {"y": self.layer(x) * scale["by"], "n": x.size(0)}


def test_compile_and_load(tmp_path):
    model, x = Affine().eval(), torch.randn(5, 4)
    kwargs = {"scale": {"by": torch.tensor(2.0)}}
    batch = torch.export.Dim("batch")
    shapes = {"x": {0: batch}, "scale": {"by": None}}
    program = torch.export.export(model, (x,), kwargs, dynamic_shapes=shapes)
    module = rtorch.compile(program, tmp_path / "affine.rtm")
    with torch.no_grad():
        expected = model(x, **kwargs)
    result = module(x, **kwargs)
    torch.testing.assert_close(result["y"], expected["y"])
    assert result["n"] == 5
    assert module.states["calls"].item() == 1
    module(torch.randn(2, 4), **kwargs)
    assert module.states["calls"].item() == 2
    assert [argument["name"] for argument in module.arguments] == ["x", "scale_by"]
    assert module.arguments[0]["sizes"][1] == "4"
    loaded = rtorch.load(tmp_path / "affine.rtm")
    torch.testing.assert_close(loaded(x, torch.tensor(2.0))[0], expected["y"])
    assert loaded.describe()["kernels"] >= 1


def test_contract_is_checked(tmp_path):
    program = torch.export.export(torch.nn.ReLU(), (torch.randn(4, 3),))
    module = rtorch.compile(program)
    with pytest.raises(rtorch.LayoutError, match="strides") as raised:
        module(torch.randn(3, 4).mT)
    assert raised.value.code == "RT_LAYOUT_STRIDE"
    x = torch.randn(3, 4).mT
    torch.testing.assert_close(module(x, relayout=True), x.relu())
    assert module.copies == 1
    with pytest.raises(rtorch.ArgumentError, match="float64"):
        module(torch.randn(4, 3, dtype=torch.float64))
    with pytest.raises(TypeError):
        module(torch.randn(4, 3), torch.randn(4, 3))
    with pytest.raises(rtorch.ModuleError):
        rtorch.load(tmp_path / "missing.rtm")


def test_compile_refuses_with_all_ops(tmp_path):
    class Spectrum(torch.nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real, torch.linalg.eigvals(x).real

    program = torch.export.export(Spectrum(), (torch.randn(3, 3),), strict=False)
    with pytest.raises(rtorch.UnsupportedOpError, match=r"(?s)fft_fft.*linalg_eigvals"):
        rtorch.compile(program, tmp_path / "m.rtm")
    assert not (tmp_path / "m.rtm").exists()


def test_run_fx():
    def function(x, n):
        parts = torch.ops.aten.split.Tensor(x, 2, 1)
        return parts[1] @ parts[0].mT + torch.tensor([1.0, 2.0, 3.0]), n

    x = torch.randn(3, 4)
    graph = make_fx(function)(x, 7)
    result, number = rtorch.run_fx(graph, [x, 7])
    torch.testing.assert_close(result, function(x, 7)[0])
    assert number == 7


def test_backend_is_found_without_an_import():
    script = (
        "import torch\n"
        "assert 'rtorch' in torch._dynamo.list_backends()\n"
        "x = torch.randn(3)\n"
        "assert torch.equal(torch.compile(torch.relu, backend='rtorch')(x), x.relu())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=BARE, timeout=120)


def test_backend_check():
    done = subprocess.run(
        [sys.executable, "-m", "rtorch.backend_check"],
        env=BARE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for word in ("rtorch", "torch 2.13", "LLVM", "CPU", "threads", "forward", "backward", "works"):
        assert word in done.stdout


def test_forked_workers_and_exit():
    """Workers of a DataLoader use the backend after a fork, and nothing hangs at exit."""
    script = (
        "import os, torch\n"
        "f = torch.compile(lambda x: (x @ x).relu(), backend='rtorch')\n"
        "x = torch.randn(64, 64)\n"
        "expected = f(x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if torch.equal(f(x), expected) else 3)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert torch.equal(f(x), expected)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=BARE, timeout=120)
