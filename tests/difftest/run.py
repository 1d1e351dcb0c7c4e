"""Compares random programs with eager PyTorch: tools/dev.sh difftest N.

Works through N seeds, several programs a module, in processes of their own, so that a
crash is one finding more. Each program that goes wrong is made smaller and printed as a
script. Exit status 1 if any went wrong.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import backend  # noqa: E402
import compare  # noqa: E402
import torch  # noqa: E402
from generate import generate  # noqa: E402
from program import Program, script  # noqa: E402
from shrink import shrink  # noqa: E402

BATCH = 20
CHUNK = 5 * BATCH  # seeds a process works through


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-shrink", action="store_true", help="print programs as they are")
    parser.add_argument(
        "--compile", action="store_true", help='by torch.compile(backend="rtorch"), not exported'
    )
    parser.add_argument("--report", type=Path, help="write how many went how, as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.seed, arguments.count, compiled=arguments.compile)
    return supervise(arguments)


def supervise(arguments: argparse.Namespace) -> int:
    """Runs workers, sums up, and shows what went wrong."""
    end = arguments.seed + arguments.count
    chunks = [(s, min(CHUNK, end - s)) for s in range(arguments.seed, end, CHUNK)]
    tally: collections.Counter[str] = collections.Counter()
    refusals: dict[str, list[int]] = collections.defaultdict(list)
    wrong = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for records in pool.map(lambda c: run_worker(*c, compiled=arguments.compile), chunks):
            for record in records:
                tally[record["kind"]] += 1
                if record["kind"] == compare.REFUSED:
                    refusals[summary(record["detail"])].append(record["seed"])
                elif record["kind"] != compare.RIGHT:
                    wrong.append(record)
                    print(f"seed {record['seed']}: {record['kind']}: {record['detail']}")
            sys.stdout.flush()
    for record in wrong[:20]:
        show(record, smaller=not arguments.no_shrink, compiled=arguments.compile)
    print(f"{sum(tally.values())} programs: " + ", ".join(f"{n} {k}" for k, n in tally.items()))
    for reason, seeds in sorted(refusals.items(), key=lambda item: -len(item[1])):
        print(f"  refused {len(seeds):5}  {reason} (seed {seeds[0]})")
    if arguments.report:
        arguments.report.write_text(json.dumps(tally))
    return 1 if wrong else 0


def run_worker(seed: int, count: int, *, compiled: bool) -> list[dict]:
    """Records of these seeds; where the process dies, what it died of is one."""
    words = [sys.executable, __file__, "--worker", str(count), "--seed", str(seed)]
    words += ["--compile"] if compiled else []
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and len(records) == count:
        return records
    if count == 1:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return [{"seed": seed, "kind": "crash", "detail": f"status {done.returncode}: {last}"}]
    rest = range(seed + len(records), seed + count)
    step = BATCH if len(rest) > BATCH else 1
    for start in rest[::step]:
        records += run_worker(start, min(step, rest.stop - start), compiled=compiled)
    return records


def work(seed: int, count: int, *, compiled: bool) -> int:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for start in range(seed, seed + count, BATCH):
        programs = [generate(s) for s in range(start, min(start + BATCH, seed + count))]
        for program, verdict in zip(programs, judge_of(compiled)(programs), strict=True):
            record = {"seed": program.seed, "kind": verdict.kind, "detail": verdict.detail}
            print(json.dumps(record), flush=True)
    return 0


def judge_of(compiled: bool) -> Callable[[Sequence[Program]], list[compare.Verdict]]:
    return backend.judge if compiled else compare.judge


def summary(detail: str) -> str:
    """The reason without names and numbers, so that equal ones are counted together."""
    detail = detail.replace("rtorch-compile: rtorch-compile: error:", "rtorch-compile:")
    ops = sorted(set(re.findall(r"aten\.\w+\.\w+", detail)))
    if "not supported" in detail and ops:
        return "not supported: " + ", ".join(ops)
    return re.sub(r"'[^']*'|\d+", "_", detail.splitlines()[0] if detail else "")[:150]


def show(record: dict, *, smaller: bool, compiled: bool) -> None:
    program = generate(record["seed"])
    if smaller and record["kind"] == compare.WRONG:
        program = shrink(program, lambda p: fails_likewise(p, record["detail"], compiled))
    print(f"# seed {record['seed']}: {record['kind']}: {record['detail'].splitlines()[0]}")
    print(script(program, compiled=compiled))


def fails_likewise(program: Program, detail: str, compiled: bool) -> bool:
    try:
        verdict = judge_of(compiled)([program])[0]
    except Exception:  # a program that was cut may do anything
        return False
    return verdict.kind == compare.WRONG and _words(verdict.detail) == _words(detail)


def _words(detail: str) -> list[str]:
    """What kind of difference it is."""
    return re.findall(r"close|strides|sizes|shares|dtype|distance", detail.splitlines()[0])[:1]


if __name__ == "__main__":
    sys.exit(main())
