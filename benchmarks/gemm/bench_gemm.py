"""Times generated matrix products against PyTorch (MKL), in interleaved slices.

Each row of the table is one shape: for some seconds, slices of a few milliseconds of
PyTorch and of our kernel alternate, so that whatever else the machine does hits both.
`ratio` is the median of (PyTorch's time / our time) over neighbouring slices: above 1
we are faster.

    bench_gemm.py --tool build/release/bin/gemm-kernel [--threads 1] [--shapes ...]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

SQUARE = ["256x256x256", "512x512x512", "1024x1024x1024", "2048x2048x2048"]
# m x n x k of MiniLM (384) and BERT-base (768), sequence 128, and of decoding.
TRANSFORMER = [
    "128x384x384",
    "128x1536x384",
    "128x384x1536",
    "128x768x768",
    "128x3072x768",
    "128x768x3072",
    "512x3072x768",
]
DECODE = ["1x3072x768", "4x3072x768", "1x4096x4096", "4x4096x4096"]


@dataclass
class Kernel:
    """A compiled product, loaded into this process."""

    info: dict
    run: ctypes._CFuncPtr
    product: int
    pack: int


def build(tool: str, options: list[str], folder: Path) -> Kernel:
    """Compiles a kernel with the tool and links it with the runner."""
    stem = folder / f"k{len(list(folder.iterdir()))}"
    text = subprocess.run(
        [tool, *options, "-o", f"{stem}.o"], check=True, capture_output=True, text=True
    ).stdout
    subprocess.run(
        [
            "cc", "-O2", "-shared", "-fPIC", f"-I{ROOT}", str(HERE / "runner.c"),
            f"{stem}.o", "-o", f"{stem}.so", "-lpthread",
        ],
        check=True,
    )  # fmt: skip
    library = ctypes.CDLL(f"{stem}.so")
    address = lambda name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value  # noqa: E731
    library.bench_run.restype = None
    return Kernel(json.loads(text), library.bench_run, address("product"), address("pack"))


def aligned(size: int) -> torch.Tensor:
    """Bytes that begin at a multiple of 64."""
    memory = torch.zeros(size + 64, dtype=torch.uint8)
    offset = -memory.data_ptr() % 64
    return memory[offset : offset + size]


class Ours:
    """Runs a kernel on given operands."""

    def __init__(self, kernel: Kernel, a, b, packed: bool, threads: int):
        self.kernel, self.threads, info = kernel, threads, kernel.info
        self.size = (info["scratch"] + 63) // 64 * 64 + 4096
        self.scratch = aligned(self.size * 2)
        m, k = a.shape
        n = b.shape[1]
        self.c = torch.zeros(m, n)
        self.keep = [a, b]
        right = b
        if packed:
            right = aligned(info["packed"])
            self.keep.append(right)
            self.launch(kernel.pack, [b, right], [k, n, *b.stride()], info["pack_tiles"], 1)
        self.bias = torch.randn(n)
        self.buffers = [a, right, self.c, self.bias]
        self.values = [m, n, k, *a.stride(), *b.stride(), n]
        self.arguments = self.pointers(self.buffers, self.values)

    @staticmethod
    def pointers(buffers, values):
        return (
            (ctypes.c_void_p * len(buffers))(*[t.data_ptr() for t in buffers]),
            (ctypes.c_int64 * len(values))(*values),
        )

    def launch(self, function, buffers, values, tiles, repeat):
        pointers, numbers = self.pointers(buffers, values)
        self.call(function, pointers, numbers, tiles, 1, repeat)

    def call(self, function, pointers, numbers, tiles, threads, repeat):
        self.kernel.run(
            ctypes.c_void_p(function), pointers, numbers, ctypes.c_int64(tiles),
            ctypes.c_void_p(self.scratch.data_ptr()), ctypes.c_int64(self.size),
            threads, ctypes.c_int64(repeat),
        )  # fmt: skip

    def __call__(self, repeat: int):
        pointers, numbers = self.arguments
        tiles = self.kernel.info["tiles"]
        self.call(self.kernel.product, pointers, numbers, tiles, self.threads, repeat)


def paired(functions: list, seconds: float, slice_seconds: float):
    """Seconds per call of each function in interleaved slices: [slice][function]."""
    repeats = []
    for function in functions:
        function(1)
        start = time.perf_counter()
        function(2)
        once = (time.perf_counter() - start) / 2
        repeats.append(max(1, round(slice_seconds / once)))
    rounds, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < 5:
        row = []
        for function, repeat in zip(functions, repeats, strict=True):
            start = time.perf_counter()
            function(repeat)
            row.append((time.perf_counter() - start) / repeat)
        rounds.append(row)
    return rounds


def operands(m, n, k, options):
    a = torch.randn(k, m).t() if "--ta" in options else torch.randn(m, k)
    b = torch.randn(n, k).t() if "--tb" in options else torch.randn(k, n)
    return a, b


def measure(shape: str, variants: list[str], args, folder: Path):
    m, n, k = (int(x) for x in shape.split("x"))
    a, b = operands(m, n, k, " ".join(variants).split())
    out = torch.empty(m, n)

    def theirs(repeat):
        for _ in range(repeat):
            torch.mm(a, b, out=out)

    runs, infos = [theirs], []
    expected = a.double() @ b.double()
    for variant in variants:
        options = [f"--m={m}", f"--n={n}", f"--k={k}", *variant.split()]
        kernel = build(args.tool, options, folder)
        ours = Ours(kernel, a, b, "--packed" in variant.split(), args.threads)
        ours(1)
        reference = expected
        if "--bias-silu" in variant:
            reference = torch.nn.functional.silu(expected + ours.bias.double())
        error = (ours.c.double() - reference).abs().max().item()
        if not error <= 1e-6 * k + 1e-4:
            sys.exit(f"{shape} {variant}: wrong result, error {error}")
        runs.append(ours)
        infos.append(kernel.info)
    rounds = paired(runs, args.seconds, args.slice / 1000)
    flops = 2 * m * n * k
    mkl = [row[0] for row in rounds]
    for i, (variant, info) in enumerate(zip(variants, infos, strict=True)):
        mine = [row[i + 1] for row in rounds]
        ratio = statistics.median(row[0] / row[i + 1] for row in rounds)
        print(
            f"{shape:>16} {variant or '-':<28}"
            f" {flops / min(mkl) / 1e9:6.1f} /{flops / statistics.median(mkl) / 1e9:6.1f}"
            f" {flops / min(mine) / 1e9:6.1f} /{flops / statistics.median(mine) / 1e9:6.1f}"
            f" {ratio:6.2f} {info['tiles']:5d} {'x'.join(map(str, info['tile'])):>9}"
            f" {info['compile_cpu_ms']:6.0f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True, help="path of gemm-kernel")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    parser.add_argument("--shapes", nargs="*", default=SQUARE + TRANSFORMER + DECODE)
    parser.add_argument("--variant", action="append", help="options of gemm-kernel; one run each")
    parser.add_argument("--seconds", type=float, default=2.0, help="per shape")
    parser.add_argument("--slice", type=float, default=8.0, help="milliseconds")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} thread(s); GFLOP/s best / median")
    print(
        f"{'m x n x k':>16} {'kernel':<28} {'torch.mm':>14} {'rtorch':>14}"
        f" {'ratio':>6} {'tiles':>5} {'tile':>9} {'ms':>6}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for shape in args.shapes:
            measure(shape, args.variant or ["--packed", ""], args, Path(folder))


if __name__ == "__main__":
    main()
