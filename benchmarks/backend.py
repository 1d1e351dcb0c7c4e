"""Measures torch.compile(backend="rtorch") against eager PyTorch and Inductor.

usage: benchmarks/backend.py [--networks NAME,...] [--threads N] [--rounds N] [--slice-ms MS]
                             [--parts first,run,call] [--json FILE]

What is timed
- first: the first training step (forward and backward) of a fresh process, with empty
  caches and then in a second process with the caches of the first one. Dynamo, AOTAutograd
  and the backend are in it; importing the packages and making the model are not. `own` is
  what rtorch's compiler took of it.
- run: inference, and a training step without the optimizer, in one process, in slices that
  take turns (see benchmarks/run.py). The ratios are to eager, formed within each round.
- call: one call of `x + 1` for four numbers, which shows what a call costs by itself.
"""

import argparse
import contextlib
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(BUILD / "python")]
sys.path.insert(0, str(ROOT / "docs" / "examples" / "semantic_search"))

import convnets  # noqa: E402
import engines  # noqa: E402
import run  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

BACKENDS = ("inductor", "rtorch")


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(64, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x)[0][:, -1])


def mlp() -> nn.Module:
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers)


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertModel(BertConfig(num_hidden_layers=2, **none))


def gpt() -> nn.Module:
    from transformers import GPT2Config, GPT2Model

    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2Model(GPT2Config(n_layer=2, use_cache=False, **none))


Make = tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]
NETWORKS: dict[str, Make] = {
    "mlp": (mlp, lambda: torch.randn(64, 784)),
    "lenet": (convnets.LeNet, lambda: torch.randn(64, 1, 28, 28)),
    "resnet18": (convnets.resnet18, lambda: torch.randn(4, 3, 96, 96)),
    "lstm": (Lstm, lambda: torch.randn(16, 24, 64)),
    "bert": (bert, lambda: torch.randint(0, 1000, (4, 64))),
    "gpt2": (gpt, lambda: torch.randint(0, 1000, (4, 64))),
}


def loss_of(result: Any) -> torch.Tensor:
    result = getattr(result, "last_hidden_state", result)
    return result.float().square().mean()


def training_step(model: Callable[..., Any], parameters: list[Any], x: torch.Tensor) -> None:
    for parameter in parameters:
        parameter.grad = None
    loss_of(model(x)).backward()


def compiled(model: nn.Module, backend: str) -> Callable[..., Any]:
    return torch.compile(model, backend=backend)


# --- first calls -----------------------------------------------------------------------


def first_call(backend: str, network: str) -> None:
    """Prints the seconds of the first step, and of those rtorch's own."""
    make, inputs = NETWORKS[network]
    torch.manual_seed(0)
    model, x = make(), inputs()
    importlib.import_module("rtorch" if backend == "rtorch" else "torch._inductor.compile_fx")
    native = compiled(model, backend)
    begin = time.perf_counter()
    training_step(native, list(model.parameters()), x)
    seconds, own = time.perf_counter() - begin, 0.0
    if backend == "rtorch":
        own = sum(graph.seconds for graph in sys.modules["rtorch"].last_report().graphs)
    print(json.dumps({"seconds": seconds, "own": own}))


def in_process(backend: str, network: str, caches: str, threads: int) -> dict[str, float] | None:
    """What the first call of a process took; None where Inductor cannot do it."""
    environment = os.environ | {
        "TORCHINDUCTOR_CACHE_DIR": f"{caches}/inductor",
        "RTORCH_CACHE": f"{caches}/rtorch",
        "OMP_NUM_THREADS": str(threads),
    }
    words = [sys.executable, __file__, "--first", backend, network]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 and backend != "rtorch":
        last = done.stderr.strip().splitlines()[-1]
        print(f"{network:12} {backend:8} fails: {last[:80]}", flush=True)
        return None
    if done.returncode != 0:
        raise RuntimeError(f"{backend} failed on {network}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_first(networks: list[str], threads: int) -> list[dict[str, Any]]:
    rows = []
    columns = ("first step, s", "", "empty caches", "own", "next process", "own")
    print("{:12} {:8} {:>13} {:>7} {:>13} {:>7}".format(*columns))
    for network in networks:
        row: dict[str, Any] = {"network": network}
        with tempfile.TemporaryDirectory() as caches:
            for backend in BACKENDS:
                cold = in_process(backend, network, caches, threads)
                warm = cold and in_process(backend, network, caches, threads)
                if not cold or not warm:
                    continue
                row[backend] = {"cold": cold, "warm": warm}
                print(
                    f"{network:12} {backend:8} {cold['seconds']:13.2f} {cold['own']:7.2f} "
                    f"{warm['seconds']:13.2f} {warm['own']:7.2f}",
                    flush=True,
                )
        rows.append(row)
    rows = [row for row in rows if all(backend in row for backend in BACKENDS)]
    for title, key in (("whole", "seconds"), ("own", "own")):
        ratios = [r["inductor"]["cold"]["seconds"] / r["rtorch"]["cold"][key] for r in rows]
        total = sum(r["inductor"]["cold"]["seconds"] for r in rows) / sum(
            r["rtorch"]["cold"][key] for r in rows
        )
        print(f"inductor / rtorch, {title}: {total:.1f} in all, {min(ratios):.1f} at least")
    return rows


# --- runs -------------------------------------------------------------------------------


def calls_of(network: str, *, training: bool) -> dict[str, Callable[[], Any]]:
    make, inputs = NETWORKS[network]
    torch.manual_seed(0)
    model, x = make(), inputs()
    model.train(training)
    parameters = list(model.parameters())
    calls: dict[str, Callable[[], Any]] = {}
    for backend in ("eager", *BACKENDS):
        torch._dynamo.reset()
        function = model if backend == "eager" else compiled(model, backend)
        if training:
            calls[backend] = lambda f=function: training_step(f, parameters, x)
        else:
            calls[backend] = lambda f=function: f(x)
        try:
            with contextlib.nullcontext() if training else torch.no_grad():
                calls[backend]()  # compiles; a reset later leaves the code in place
        except Exception:
            if backend != "inductor":
                raise
            del calls[backend]
    return calls


def measure_runs(networks: list[str], rounds: int, length_s: float) -> list[dict[str, Any]]:
    rows = []
    print(f"\n{'':12} {'':10} {'eager ms':>9} {'inductor':>9} {'rtorch':>9}   (of eager's time)")
    for network in networks:
        for training in (False, True):
            calls = calls_of(network, training=training)
            with contextlib.nullcontext() if training else torch.no_grad():
                times = run.interleave(calls, rounds, length_s)
            ratio = {
                name: statistics.median(a / b for a, b in zip(values, times["eager"], strict=True))
                for name, values in times.items()
            }
            eager = statistics.median(times["eager"]) * 1e3
            kind = "training" if training else "inference"
            print(
                f"{network:12} {kind:10} {eager:9.3f} {ratio.get('inductor', math.nan):9.2f} "
                f"{ratio['rtorch']:9.2f}",
                flush=True,
            )
            rows.append({"network": network, "kind": kind, "eager_ms": eager, **ratio})
    return rows


def measure_calls(rounds: int, length_s: float) -> dict[str, float]:
    x = torch.ones(4)
    calls: dict[str, Callable[[], Any]] = {"eager": lambda: x + 1}
    with torch.no_grad():
        for backend in BACKENDS:
            function = torch.compile(lambda x: x + 1, backend=backend)
            calls[backend] = lambda f=function: f(x)
        times = run.interleave(calls, rounds, length_s)
    result = {name: statistics.median(values) * 1e6 for name, values in times.items()}
    listed = ", ".join(f"{name} {us:.1f}" for name, us in result.items())
    print(f"\none call of x + 1, microseconds: {listed}")
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    names, parts, result = options.networks.split(","), options.parts.split(","), {}
    if "first" in parts:
        result["first"] = measure_first(names, options.threads)
    if "run" in parts:
        result["run"] = measure_runs(names, options.rounds, options.slice_ms / 1e3)
    if "call" in parts:
        result["call"] = measure_calls(options.rounds, options.slice_ms / 1e3)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slice-ms", type=float, default=300)
    parser.add_argument("--parts", default="first,run,call")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--first", nargs=2, metavar=("BACKEND", "NETWORK"), help=argparse.SUPPRESS)
    record.add_options(parser)
    options = parser.parse_args()
    # Dynamo leaves recurrent layers to eager unless it is told to look into them.
    torch._dynamo.config.allow_rnn = True
    if options.first:
        return first_call(*options.first)
    torch.set_num_threads(options.threads)
    print(f"{run.processor()}, {options.threads} threads, PyTorch {torch.__version__}\n")
    facts = {
        "model": "torch.compile",
        "options": {"benchmark": "backend", "networks": options.networks, "parts": options.parts}
        | {"threads": options.threads, "rounds": options.rounds},
        "versions": engines.versions(),
    }
    with record.begin(options.store, "benchmark", facts) as recorded:
        result = recorded.results = measure(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return None


if __name__ == "__main__":
    main()
