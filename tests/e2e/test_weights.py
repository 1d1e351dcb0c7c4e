"""Modules that are compiled without their weights, and the checkpoints beside them."""

import json
from pathlib import Path

import pytest
import torch
from harness import Compiled, assert_like_eager, command, compile_program, export, succeed
from torch import nn

ROOT = Path(__file__).resolve().parents[2]


class Mixed(nn.Module):
    """Weights that are packed, folded, read in place, tied, strided, and changed by runs."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.linear = nn.Linear(16, 24)
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight
        self.back = nn.Linear(24, 16)
        self.turned = nn.Parameter(torch.randn(16, 5).t())
        self.register_buffer("count", torch.zeros(3))
        self.register_buffer("scale", torch.linspace(1, 2, 24), persistent=False)
        self.unused = nn.Linear(3, 3)

    def forward(self, ids):
        x = self.norm(self.linear(self.embed(ids))) * self.scale
        self.count.add_(1)
        x = self.back(x)
        return self.head(x), nn.functional.linear(x, self.turned), self.count + 0


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, groups=8, padding=1),
            nn.Conv2d(8, 12, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 4),
        )
        for module in self.body:
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2)

    def forward(self, x):
        return self.body(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


def inputs_of(kind):
    torch.manual_seed(3)
    if kind is Mixed:
        return (torch.randint(0, 50, (2, 7)),)
    return (torch.randn(2, 3, 9, 9),) if kind is Images else (torch.randn(2, 5, 6),)


def without_weights(folder: Path, kind, seed: int, *, decomposed: bool = False) -> Compiled:
    torch.manual_seed(seed)
    model = kind().eval()
    program = export(model, inputs_of(kind), decomposed=decomposed)
    return compile_program(folder, model, program, "--weights", "external")


def run(module: Path, weights: Path, args: tuple, folder: Path) -> list[torch.Tensor]:
    """Through rtorch-run: what a user has without Python."""
    import numpy as np

    np.savez(folder / "in.npz", *[arg.numpy() for arg in args])
    succeed(
        "rtorch-run", module, "--weights", weights, "--inputs", folder / "in.npz",
        "--outputs", folder / "out.npz",
    )  # fmt: skip
    with np.load(folder / "out.npz") as arrays:
        return [torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("out_")]


def compare(results, model, args):
    expected = model(*args)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(results) == len(expected)
    for i, (ours, theirs) in enumerate(zip(results, expected, strict=True)):
        assert_like_eager(f"result {i}", ours, theirs.detach().contiguous())


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("kind", [Mixed, Images, Recurrent])
def test_results_are_those_of_eager(kind, decomposed, tmp_path):
    compiled = without_weights(tmp_path, kind, 1, decomposed=decomposed)
    weights = compiled.path.with_suffix(".rtch")
    args = inputs_of(kind)
    compare(run(compiled.path, weights, args, tmp_path), compiled.eager, args)


@pytest.mark.parametrize("kind", [Mixed, Images])
def test_the_module_holds_no_weight(kind, tmp_path):
    compiled = without_weights(tmp_path, kind, 1)
    (tmp_path / "whole").mkdir()
    whole = compile_program(tmp_path / "whole", compiled.eager, compiled.program)
    assert compiled.report["constant_bytes"] < whole.report["constant_bytes"] / 4
    described = json.loads(succeed("rtorch-run", compiled.path, "--describe", "--json").stdout)
    assert {w["name"] for w in described["weights"]} == set(compiled.eager.state_dict())


@pytest.mark.parametrize("kind", [Mixed, Images, Recurrent])
def test_weights_are_swapped(kind, tmp_path):
    """A module runs with the weights of another training of the same model."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = without_weights(tmp_path / "a", kind, 1)
    b = without_weights(tmp_path / "b", kind, 2)
    assert a.path.read_bytes() == b.path.read_bytes()
    args = inputs_of(kind)
    compare(run(a.path, b.path.with_suffix(".rtch"), args, tmp_path), b.eager, args)


def test_all_mismatches_are_listed_at_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = without_weights(tmp_path / "a", Images, 1)

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 9, 3, padding=1, bias=False))
            self.more = nn.Linear(2, 2)

        def forward(self, x):
            return self.body(x) + self.more.weight.sum()

    model = Other()
    program = export(model, inputs_of(Images))
    compile_program(tmp_path / "b", model, program, "--weights", str(tmp_path / "other.rtch"))
    done = command("rtorch-run", a.path, "--weights", tmp_path / "other.rtch")
    assert done.returncode == 1
    assert "RT_CHECKPOINT_MISMATCH" in done.stderr
    for line in (
        "'body.0.weight': expected shape [8, 3, 3, 3], but got [9, 3, 3, 3]",
        "'body.1.running_mean': missing",
        "'body.7.bias': missing",
        "'more.weight': unexpected",
    ):
        assert line in done.stderr


def test_tied_weights_must_be_equal(tmp_path):
    compiled = without_weights(tmp_path, Mixed, 1)
    torch.manual_seed(4)
    untied = Mixed().eval()
    untied.head.weight = nn.Parameter(torch.randn(50, 16))
    program = export(untied, inputs_of(Mixed))
    (tmp_path / "untied").mkdir()
    other = compile_program(tmp_path / "untied", untied, program, "--weights", "external")
    done = command("rtorch-run", compiled.path, "--weights", other.path.with_suffix(".rtch"))
    assert done.returncode == 1
    assert "RT_CHECKPOINT_MISMATCH" in done.stderr
    assert "tied" in done.stderr


def test_what_is_missing_or_too_much_is_told(tmp_path):
    (tmp_path / "own").mkdir()
    compiled = without_weights(tmp_path, Images, 1)
    weights = compiled.path.with_suffix(".rtch")
    done = command("rtorch-run", compiled.path)
    assert done.returncode == 1
    assert "RT_MODULE_WEIGHTS" in done.stderr
    own = compile_program(tmp_path / "own", compiled.eager, compiled.program)
    done = command("rtorch-run", own.path, "--weights", weights)
    assert done.returncode == 1
    assert "RT_MODULE_WEIGHTS" in done.stderr
    data = bytearray(weights.read_bytes())
    data[4096] ^= 1
    weights.write_bytes(data)
    done = command("rtorch-run", compiled.path, "--weights", weights)
    assert done.returncode == 1
    assert "RT_CHECKPOINT_BAD_CRC" in done.stderr


def test_equal_weights_are_not_written_again(tmp_path):
    compiled = without_weights(tmp_path, Images, 1)
    weights = compiled.path.with_suffix(".rtch")
    before = weights.stat()
    succeed("rtorch-compile", compiled.archive, "-o", compiled.path, "--weights", weights, "-q")
    assert weights.stat().st_ino == before.st_ino


def test_weights_of_text_outputs_are_refused(tmp_path):
    compiled = without_weights(tmp_path, Images, 1)
    done = command("rtorch-compile", compiled.archive, "--emit", "rt", "--weights", "external")
    assert done.returncode == 1
    assert "weights" in done.stderr
