"""Measures compile time, first inference and latency against other engines.

usage: benchmarks/run.py [--engines eager,rtorch,...] [--models NAME,...] [--threads 1,2]
                         [--rounds N] [--slice-ms MS] [--json FILE] [--store DIR | --no-store]

How it is timed
- All engines run in one process, on the same inputs, in slices that take turns: each
  round gives every engine one slice of about --slice-ms milliseconds, in an order that
  rotates. What disturbs the machine for a while then disturbs all of them.
- A slice's value is the mean of its calls. The latency is the median over the rounds.
- The ratio to eager is formed within each round; the table gives the median of the
  ratios, and the 10th and 90th percentile as their spread.
- Engines wait actively for work for a while after a call. A slice begins with calls that
  are not counted, for a tenth of its length, so that threads left spinning by the engine
  before have gone to sleep and caches hold the data of this one.
- Compile time of rtorch is the whole command, process start and file included, with no
  cache; of Inductor, the first call in a fresh process with an empty cache, less one warm
  call; of ONNX Runtime, making the session. Exporting the graph is counted for none.
- First inference of rtorch is loading the module, making an instance, and one call.

Each model is a run of the kind "benchmark" in the experiment store, with the metrics
"latency_s.<engine>.t<threads>" (a value for each round), "compile_s.<engine>" and
"first_s.<engine>": `rtorch-store trend MODEL` shows their history.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import record

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "docs/examples/semantic_search")]

import engines  # noqa: E402
import models  # noqa: E402
import torch  # noqa: E402


def timed_slice(call: engines.Call, length_s: float) -> float:
    """Mean seconds of the calls in one slice."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < length_s / 10:
        call()
    count, begin = 0, time.perf_counter()
    while True:
        call()
        count += 1
        elapsed = time.perf_counter() - begin
        if elapsed >= length_s:
            return elapsed / count


def interleave(calls: dict[str, engines.Call], rounds: int, length_s: float) -> dict:
    """Seconds per call of each engine in each round."""
    names, times = list(calls), {name: [] for name in calls}
    for call in calls.values():  # first calls compile, allocate, start threads
        call()
    for i in range(rounds):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(timed_slice(calls[name], length_s))
    return times


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[round(percent / 100 * (len(ordered) - 1))]


def summarize(times: list[float], base: list[float]) -> dict[str, float]:
    ratios = [mine / theirs for mine, theirs in zip(times, base, strict=True)]
    return {
        "latency_ms": 1e3 * statistics.median(times),
        "ratio": statistics.median(ratios),
        "ratio_p10": percentile(ratios, 10),
        "ratio_p90": percentile(ratios, 90),
    }


def measure(
    case: models.Case, options: argparse.Namespace, recorded: record.Run | record.Unrecorded
) -> list[dict]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name in options.engines:
            made[name] = engines.ENGINES[name](case, Path(folder))
        for threads in options.threads:
            calls = {name: engine.call(threads) for name, engine in made.items()}
            times = interleave(calls, options.rounds, options.slice_ms / 1e3)
            record_times(recorded, times, threads)
            for name, engine in made.items():
                rows.append(
                    {
                        "model": case.name,
                        "threads": threads,
                        "engine": name,
                        "compile_s": getattr(engine, "compile_s", None),
                        "first_s": getattr(engine, "first_s", None),
                        **summarize(times[name], times[options.engines[0]]),
                    }
                )
        for name, engine in made.items():
            for key in ("compile_s", "first_s"):
                if getattr(engine, key, None):
                    recorded.metric(f"{key}.{name}", getattr(engine, key))
    return rows


def record_times(recorded: record.Run | record.Unrecorded, times: dict, threads: int) -> None:
    for name, values in times.items():
        for value in values:
            recorded.metric(f"latency_s.{name}.t{threads}", value)


def measure_and_record(case: models.Case, options: argparse.Namespace) -> list[dict]:
    words = ("engines", "threads", "rounds", "slice_ms")
    facts = {
        "model": case.name,
        "options": {word: getattr(options, word) for word in words},
        "versions": engines.versions(),
    }
    with record.begin(options.store, "benchmark", facts) as recorded:
        rows = measure(case, options, recorded)
        recorded.results = {
            f"{row['engine']}.t{row['threads']}": {"ratio": row["ratio"]} for row in rows
        }
    return rows


def print_rows(rows: list[dict], base: str) -> None:
    print(f"| model | threads | engine | compile s | first s | ms | of {base} (10..90 %) |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cold, first = (f"{row[k]:.2f}" if row[k] else "" for k in ("compile_s", "first_s"))
        ratio = f"{row['ratio']:.3f} ({row['ratio_p10']:.3f}..{row['ratio_p90']:.3f})"
        print(
            f"| {row['model']} | {row['threads']} | {row['engine']} | {cold} | {first} "
            f"| {row['latency_ms']:.2f} | {ratio} |"
        )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {len(names)} cores visible"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in models.CASES]

    def words(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--engines", type=words, default=["eager", "rtorch"])
    parser.add_argument("--models", type=words, default=names, help=f"of: {', '.join(names)}")
    parser.add_argument("--threads", type=lambda t: [int(n) for n in t.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--slice-ms", type=float, default=200)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    record.add_options(parser)
    options = parser.parse_args()
    for kind, chosen, known in (
        ("engine", options.engines, list(engines.ENGINES)),
        ("model", options.models, names),
    ):
        for name in chosen:
            if name not in known:
                parser.error(f"unknown {kind} '{name}', expected one of: {', '.join(known)}")
    for name in options.engines:
        if not engines.available(name):
            parser.error(f"engine '{name}' needs the packages in requirements/bench.txt")
    return options


def main() -> None:
    options = parse()
    print(f"{processor()}; torch {torch.__version__}\n")
    rows = []
    for case in models.CASES:
        if case.name in options.models:
            rows += measure_and_record(case, options)
    print_rows(rows, options.engines[0])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
