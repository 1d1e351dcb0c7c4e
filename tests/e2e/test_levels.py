"""Modules with code for several CPUs: which is chosen, that each is right, what is shared."""

import json
import os
from pathlib import Path

import harness
import pytest
import torch
from harness import command, compile_program, export, succeed
from torch import nn

LEVELS = ["x86-64-v4", "x86-64-v3", "x86-64-v2"]


class Mixed(nn.Module):
    """Convolution, matrix products, attention, reductions, integers and an index."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 24)
        self.conv = nn.Conv1d(24, 40, 3, padding=1)
        self.attention = nn.MultiheadAttention(40, 4, batch_first=True)
        self.norm = nn.LayerNorm(40)
        self.head = nn.Linear(40, 11)

    def forward(self, ids):
        x = self.conv(self.embed(ids).transpose(1, 2)).transpose(1, 2)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        scores = torch.softmax(self.head(nn.functional.gelu(x)), -1)
        return scores, scores.argmax(-1), scores.double().std(1), (ids * 3) % 7


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 20, 3, stride=2, bias=False),
            nn.BatchNorm2d(20),
            nn.Hardswish(),
            nn.Conv2d(20, 20, 3, padding=1, groups=20),
            nn.Conv2d(20, 32, 1),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 49, 9),
        )

    def forward(self, x):
        return self.body(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(12, 20, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.lstm(x)


class Formats(nn.Module):
    """Every dtype beside padding, at the ends of rows and across lanes, and conversions."""

    def forward(self, x):
        results = []
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64):
            y = x.to(dtype)
            results.append(nn.functional.pad(y, (1, 1, 1, 1)))
            results.append(nn.functional.max_pool2d(y.float(), 3, padding=1))
            results.append(y.permute(0, 2, 3, 1).contiguous() * 2)
            results.append(y[:, :, 1:, ::2].cumsum(-1))
        return results


class Filters(nn.Module):
    """Convolutions of each kind, in float64 and float32."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(6, 20, 3, padding=1)
        self.dense = nn.Conv2d(20, 33, 3, padding=1)
        self.depthwise = nn.Conv2d(33, 33, 3, stride=2, padding=1, groups=33)
        self.back = nn.ConvTranspose2d(33, 5, 3, stride=2)

    def forward(self, x):
        wide = nn.functional.conv2d(x.double(), self.first.weight.double(), padding=1)
        y = self.depthwise(torch.relu(self.dense(self.first(x))))
        return wide, y, self.back(y)


NETWORKS = {
    "formats": (Formats, lambda: (torch.randn(2, 6, 9, 11) * 5,)),
    "filters": (Filters, lambda: (torch.randn(2, 6, 15, 13),)),
    "mixed": (Mixed, lambda: (torch.randint(0, 40, (3, 19)),)),
    "images": (Images, lambda: (torch.randn(2, 3, 30, 30),)),
    "recurrent": (Recurrent, lambda: (torch.randn(3, 6, 12),)),
}


def can_run(features: list[str]) -> bool:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith("flags")).split()
    names = {"sse3": "pni", "lzcnt": "abm", "bmi": "bmi1"}
    return all(names.get(f, f.replace(".", "_")) in flags for f in features)


@pytest.fixture(scope="module", params=NETWORKS)
def compiled(request, tmp_path_factory):
    torch.manual_seed(5)
    make, args = NETWORKS[request.param]
    model = make().eval()
    module = compile_program(
        tmp_path_factory.mktemp(request.param),
        model,
        export(model, args()),
        "--target-cpu",
        "x86-64-v3,x86-64-v2,x86-64-v4",
    )
    return module, args()


def described(path, *options) -> dict:
    return json.loads(succeed("rtorch-run", path, "--describe", "--json", *options).stdout)


def test_each_level_is_like_eager(compiled, monkeypatch):
    module, args = compiled
    levels = described(module.path)["levels"]
    assert [level["cpu"] for level in levels] == LEVELS
    ran = []
    for level in levels:
        if not can_run(level["features"]):
            continue
        monkeypatch.setenv("RTORCH_CPU_LEVEL", level["cpu"])
        module._instance = None
        assert module.instance.module.info.cpu.decode() == level["cpu"]
        module.check(*args)
        ran.append(level["cpu"])
    assert "x86-64-v2" in ran


@pytest.mark.parametrize("level", LEVELS)
def test_all_float16_numbers_are_converted_exactly(tmp_path, level):
    class Halves(nn.Module):
        def forward(self, x, y):
            return x.float(), y.half(), (y.double() * 3).half()

    halves = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.float16)
    # Between two halves, at their middle, and next to it.
    between = halves.float().repeat_interleave(3) * torch.tensor([1.0, 1.00024, 1.00049]).repeat(
        2**16
    )
    ties = torch.nextafter(halves.float(), torch.tensor(0.0))
    middle = (halves.float() + torch.roll(halves, 1).float()) / 2
    small = torch.randn(1000) * 1e-6
    args = halves, torch.cat([between, ties, middle, small])
    compiled = compile_program(tmp_path, Halves(), export(Halves(), args), "--target-cpu", level)
    if not can_run(described(compiled.path)["levels"][0]["features"]):
        pytest.skip(f"this CPU cannot run {level}")
    for ours, eager in zip(compiled(*args), Halves()(*args), strict=True):
        assert torch.equal(ours.isnan(), eager.isnan())
        kind = torch.int32 if eager.dtype == torch.float32 else torch.int16
        assert torch.equal(
            ours.nan_to_num(0.0, torch.inf, -torch.inf).view(kind),
            eager.nan_to_num(0.0, torch.inf, -torch.inf).view(kind),
        )


def test_the_best_level_that_runs_is_chosen(compiled):
    description = described(compiled[0].path)
    runnable = [lvl["cpu"] for lvl in description["levels"] if can_run(lvl["features"])]
    assert description["cpu"] == runnable[0]
    assert description["levels"][description["level"]]["cpu"] == runnable[0]
    forced = described(compiled[0].path, "--cpu-level", "x86-64-v2")
    assert forced["cpu"] == "x86-64-v2"
    assert "avx" not in forced["features"]


def test_an_unknown_level_is_an_error(compiled):
    done = command("rtorch-run", compiled[0].path, "--describe", "--cpu-level", "haswell")
    assert done.returncode == 1
    assert "RT_MODULE_TARGET" in done.stderr
    assert "'haswell', but the module has code for " + ", ".join(LEVELS) in done.stderr


def test_levels_share_what_is_equal(tmp_path):
    # Embeddings and biases are read as they are; only packed matrices depend on the CPU.
    model = nn.Sequential(nn.Embedding(5000, 64), nn.Linear(64, 64))
    program = export(model, (torch.randint(0, 5000, (4, 7)),))
    sizes = []
    for cpus in ("x86-64-v4", "x86-64-v3", ",".join(LEVELS)):
        done = compile_program(tmp_path, model, program, "--target-cpu", cpus)
        sizes.append(done.report["constant_bytes"])
    assert sizes[2] <= sizes[0] + 2 * 64 * 64 * 4 + 4096


def test_the_bytes_do_not_depend_on_the_order(tmp_path):
    model = Images().eval()
    program = export(model, (torch.randn(2, 3, 30, 30),))
    first, second = (
        compile_program(tmp_path, model, program, "--target-cpu", ",".join(cpus)).path.read_bytes()
        for cpus in (LEVELS, LEVELS[::-1])
    )
    assert first == second


@pytest.mark.parametrize(
    ("cpus", "message"),
    [
        ("x86-64-v3,x86-64-v3", "CPU 'x86-64-v3' is listed twice"),
        ("x86-64-v3,", "unknown CPU ''"),
        ("x86-64-v3,nonsense", "unknown CPU 'nonsense'"),
    ],
)
def test_wrong_lists(tmp_path, cpus, message):
    torch.export.save(export(nn.ReLU(), (torch.randn(3),)), tmp_path / "m.pt2")
    done = command(
        "rtorch-compile", tmp_path / "m.pt2", "-o", tmp_path / "m.rtm", "--target-cpu", cpus
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "m.rtm").exists()


def test_weights_outside_of_a_module_of_several_levels(tmp_path, monkeypatch):
    model = Images().eval()
    args = (torch.randn(2, 3, 30, 30),)
    torch.export.save(export(model, args), tmp_path / "m.pt2")
    succeed(
        "rtorch-compile",
        tmp_path / "m.pt2",
        "-o",
        tmp_path / "m.rtm",
        "--weights",
        tmp_path / "m.rtch",
        "--target-cpu",
        "x86-64-v2,x86-64-v3",
    )
    import numpy as np

    np.savez(tmp_path / "in.npz", x=args[0].numpy())
    for cpu in ("x86-64-v2", "x86-64-v3"):
        if not can_run(
            next(lv for lv in described(tmp_path / "m.rtm")["levels"] if lv["cpu"] == cpu)[
                "features"
            ]
        ):
            continue
        succeed(
            "rtorch-run",
            tmp_path / "m.rtm",
            "--inputs",
            tmp_path / "in.npz",
            "--outputs",
            tmp_path / "out.npz",
            "--weights",
            tmp_path / "m.rtch",
            "--cpu-level",
            cpu,
        )
        ours = torch.from_numpy(np.load(tmp_path / "out.npz")["out_0"])
        harness.assert_like_eager("result", ours, model(*args).detach())


def test_the_schedule_shows_loops_and_branches(tmp_path):
    class Control(nn.Module):
        def forward(self, x):
            y = torch.cond(x.sum() > 0, lambda v: v.sin() @ v, lambda v: v.cos(), (x,))
            return y + 1

    torch.export.save(export(Control(), (torch.randn(4, 4),)), tmp_path / "branch.pt2")
    torch.export.save(export(Recurrent(), (torch.randn(3, 6, 12),)), tmp_path / "loop.pt2")
    texts, kinds = {}, {}
    for name in ("branch", "loop"):
        succeed("rtorch-compile", tmp_path / f"{name}.pt2", "-o", tmp_path / f"{name}.rtm")
        texts[name] = succeed("rtorch-run", tmp_path / f"{name}.rtm", "--describe").stdout
        kinds[name] = described(tmp_path / f"{name}.rtm")["schedule"]
    (branch,) = [step for step in kinds["branch"] if step["kind"] == "branch"]
    assert branch["body"]
    assert branch["otherwise"]
    assert "  if a value in memory holds\n" in texts["branch"]
    assert "  else\n" in texts["branch"]
    loops = [step for step in kinds["loop"] if step["kind"] == "loop"]
    assert loops
    assert all(loop["trips"] == "6" and loop["body"] for loop in loops)
    assert "loop, 6 times\n" in texts["loop"]


def test_a_level_of_the_environment_that_a_module_lacks_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("RTORCH_CPU_LEVEL", "haswell")
    compiled = harness.compile_module(tmp_path, nn.ReLU(), (torch.randn(3),))
    compiled.check(torch.randn(3))
    assert os.environ["RTORCH_CPU_LEVEL"] == "haswell"
