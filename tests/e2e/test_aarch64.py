"""Modules for ARM, compiled here and run under qemu: results as PyTorch's on this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import digits
import harness
import minilm
import pytest
import torch
from torch import nn

TRIPLE = "aarch64-linux-gnu"
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
COMPILER = shutil.which(f"{TRIPLE}-g++")


def run(*command, **options) -> str:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def configure(source: Path, build: Path, *options) -> None:
    """Builds a project for ARM, with the toolchain file that users have."""
    toolchain = harness.ROOT / "tools" / "cmake" / f"{TRIPLE}.cmake"
    common = ["-G", "Ninja", f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_BUILD_TYPE=Release"]
    if shutil.which("ccache"):
        common.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    run("cmake", "-S", source, "-B", build, *common, *options)
    run("cmake", "--build", build)


def emulated(program: Path, *arguments) -> list[str]:
    return [str(word) for word in (QEMU, "-L", f"/usr/{TRIPLE}", program, *arguments)]


@pytest.fixture(scope="session")
def prefix() -> Path:
    """The runtime for ARM, built and installed once per build folder."""
    if not QEMU or not COMPILER:
        pytest.skip("needs qemu-user and g++-aarch64-linux-gnu (see docs/guide/install.md)")
    build = harness.BUILD / "aarch64"
    parts = ["-DRTORCH_COMPILER=OFF", "-DRTORCH_COMMANDS=OFF", "-DRTORCH_TESTS=OFF"]
    configure(harness.ROOT, build / "runtime", *parts)
    run("cmake", "--install", build / "runtime", "--prefix", build / "prefix")
    return build / "prefix"


def outside(prefix: Path, build: Path, *options) -> Path:
    """tests/cross, built for ARM against the installed runtime."""
    paths = [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_FIND_ROOT_PATH={prefix}"]
    configure(harness.ROOT / "tests" / "cross", build, *paths, *options)
    return build


@pytest.fixture(scope="session")
def program(prefix) -> Path:
    """A program that runs module files."""
    return outside(prefix, harness.BUILD / "aarch64" / "program") / "run_raw"


def check(
    program: Path,
    folder: Path,
    model: nn.Module,
    args: tuple,
    *options: str,
    threads: int = 1,
    decomposed: bool = False,
) -> None:
    torch.export.save(harness.export(model, args, decomposed=decomposed), folder / "m.pt2")
    harness.succeed(
        "rtorch-compile", folder / "m.pt2", "-o", folder / "m.rtm", "--target", TRIPLE, *options
    )
    for i, argument in enumerate(args):
        argument.detach().contiguous().view(-1).numpy().tofile(folder / f"in_{i}.bin")
    run(*emulated(program, folder / "m.rtm", threads, folder), timeout=300)
    results = torch.utils._pytree.tree_leaves(model(*args))
    for i, theirs in enumerate(results):
        ours = torch.frombuffer(
            bytearray((folder / f"out_{i}.bin").read_bytes()), dtype=theirs.dtype
        ).reshape(theirs.shape)
        torch.testing.assert_close(ours, theirs.detach())


def test_lenet(program, tmp_path):
    torch.manual_seed(0)
    images, _ = digits.load()
    for cpu in ("generic", "neoverse-n1"):
        check(program, tmp_path, digits.LeNet().eval(), (images[:5],), "--target-cpu", cpu)


def test_minilm(program, tmp_path):
    ids = torch.randint(1000, 30000, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[1, 6:] = 0
    check(program, tmp_path, minilm.load(), (ids, mask), threads=2)


def test_lenet_linked_into_a_program(prefix, tmp_path):
    """rtorch_add_module compiles for the CPU of the toolchain file: same results as here."""
    torch.manual_seed(0)
    images, _ = digits.load()
    x = images[:3].contiguous()
    model = digits.LeNet().eval()
    archive = tmp_path / "net.pt2"
    torch.export.save(harness.export(model, (x,)), archive)
    compiler = harness.BUILD / "bin" / "rtorch-compile"
    build = outside(
        prefix,
        tmp_path / "build",
        f"-DRTORCH_CROSS_MODEL={archive}",
        f"-DRTORCH_COMPILE={compiler}",
    )
    archive.unlink()
    for library in (build / "net.module").iterdir():
        library.unlink()
    command = emulated(build / "run_embedded", *x.shape)
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        command, input=x.numpy().tobytes(), capture_output=True, cwd=tmp_path / "empty", check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    theirs = model(x).detach()
    ours = torch.frombuffer(bytearray(done.stdout), dtype=theirs.dtype).reshape(theirs.shape)
    torch.testing.assert_close(ours, theirs)


class Mixed(nn.Module):
    """What needs vectors of floats and of integers, halves, functions and an index."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 9, batch_first=True)
        self.norm = nn.LayerNorm(9)

    def forward(self, x, ids):
        y = self.norm(self.lstm(x)[0])
        return (
            torch.erf(y) + torch.exp(-y.abs()),
            torch.softmax(y.half().float(), -1).bfloat16().float(),
            (ids * 7) // 3 + ids.cumsum(1),
            y.sort(-1).values,
            x.double() @ x.double().transpose(1, 2),
            torch.index_select(y, 1, ids[0] % 4),
        )


@pytest.mark.parametrize("decomposed", [False, True])
def test_kinds_of_ops(program, tmp_path, decomposed):
    torch.manual_seed(1)
    args = (torch.randn(3, 4, 6), torch.randint(0, 50, (3, 5)))
    check(program, tmp_path, Mixed().eval(), args, decomposed=decomposed)


def test_modules_for_arm_are_described_and_refused_here(tmp_path):
    torch.export.save(harness.export(nn.ReLU(), (torch.randn(3),)), tmp_path / "m.pt2")
    module = tmp_path / "m.rtm"
    harness.succeed("rtorch-compile", tmp_path / "m.pt2", "-o", module, "--target", TRIPLE)
    assert (
        "aarch64-unknown-linux-gnu, CPU generic"
        in harness.succeed("rtorch-run", module, "--describe").stdout
    )
    if os.uname().machine != "aarch64":
        done = harness.command("rtorch-run", module)
        assert done.returncode == 1
        assert "RT_MODULE_TARGET" in done.stderr
        assert "for 'aarch64-unknown-linux-gnu', but this is x86_64 linux" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", TRIPLE, "--target-cpu", "x86-64-v3"], "unknown CPU 'x86-64-v3' for aarch64"),
        (["--target", TRIPLE, "--target-cpu", "native"], "CPU 'native' is this machine"),
        (["--target", "riscv64-linux-gnu"], "expected x86_64 or aarch64"),
        (["--target", "x86_64-apple-darwin"], "expected a system with ELF objects"),
    ],
)
def test_wrong_targets(tmp_path, options, message):
    torch.export.save(harness.export(nn.ReLU(), (torch.randn(3),)), tmp_path / "m.pt2")
    done = harness.command("rtorch-compile", tmp_path / "m.pt2", "-o", tmp_path / "m", *options)
    assert done.returncode == 1
    assert message in done.stderr
