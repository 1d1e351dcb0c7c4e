"""Prints what the runtime costs a C or C++ program besides the computation itself.

For MiniLM at 1x16 tokens: load and first inference (module in the page cache, one
thread) and resident memory. Then the time of a call that computes next to nothing, the
size of the runtime library and what the C++ example links. The bounds that the project
promises stand beside the figures; the tests check those that do not depend on a clock.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import record

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "docs" / "examples" / "semantic_search")]

import engines  # noqa: E402
import harness  # noqa: E402
import minilm  # noqa: E402
import torch  # noqa: E402

ROUNDS = 9


def lines_of(*command: str | Path) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def print_module(title: str, module: Path, calls: list[tuple], env: dict[str, str]) -> dict:
    rounds = [harness.measure("footprint", module, calls, env=env) for _ in range(ROUNDS)]
    rounds.sort(key=lambda figures: figures["load_and_first_run_ms"])
    median = rounds[ROUNDS // 2]
    own = median["resident_kb"] - median["resident_of_module_kb"]
    print(title)
    print(f"  load                 {median['load_ms']:8.2f} ms")
    print(f"  load and first run   {median['load_and_first_run_ms']:8.2f} ms   (at most 20)")
    print(f"  resident             {median['resident_kb'] / 1024:8.2f} MB")
    print(f"    of the module      {median['resident_of_module_kb'] / 1024:8.2f} MB")
    print(
        f"    of its own         {own / 1024:8.2f} MB   "
        f"(at most the arena, {median['arena_kb'] / 1024:.2f}, and 10)"
    )
    return {
        "load_s": median["load_ms"] / 1e3,
        "load_and_first_run_s": median["load_and_first_run_ms"] / 1e3,
        "resident_bytes": median["resident_kb"] * 1024,
        "own_bytes": own * 1024,
    }


class Tiny(torch.nn.Module):
    """So little that a call is the runtime's own work: three inputs are checked."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return x * y + z


def print_call(folder: Path) -> float:
    args = tuple(torch.randn(2, 4) for _ in range(3))
    compiled = harness.compile_module(folder, Tiny(), args)
    figures = harness.measure("call", compiled.path, [args])
    print(f"a call of x * y + z, f32 [2, 4]: {figures['ns_per_call']:.0f} ns (at most 1000)")
    return figures["ns_per_call"] / 1e9


def print_libraries(folder: Path) -> int:
    library = harness.BUILD / "lib" / "librtorch_runtime.so"
    stripped = folder / "stripped.so"
    subprocess.run(["strip", "-o", stripped, library], check=True)
    print(f"librtorch_runtime.so, stripped: {stripped.stat().st_size / 1024:.0f} KiB (at most 300)")
    example = harness.BUILD / "examples" / "semantic_search"
    print("ldd of the C++ example:")
    for line in lines_of("ldd", example):
        print(f"  {line.split(' (')[0].strip()}")
    return stripped.stat().st_size


def measure(folder: Path) -> dict:
    """Prints everything; gives the figures."""
    model = minilm.load()
    compiled = harness.compile_program(folder, model, minilm.export(model))
    ids = torch.randint(1000, 30000, (1, 16))
    calls = [(ids, torch.ones_like(ids))]
    trust = {"TRUST_CONSTANTS": "1"}
    return {
        "verified": print_module("MiniLM 1x16, all constants verified", compiled.path, calls, {}),
        "trusted": print_module("MiniLM 1x16, constants trusted", compiled.path, calls, trust),
        "call_s": print_call(folder),
        "library_bytes": print_libraries(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    record.add_options(parser)
    options = parser.parse_args()
    facts = {
        "model": "MiniLM 1x16",
        "options": {"benchmark": "footprint"},
        "versions": engines.versions(),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        record.begin(options.store, "benchmark", facts) as run,
    ):
        run.results = measure(Path(folder))


if __name__ == "__main__":
    main()
