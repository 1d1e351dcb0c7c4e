"""Prints what an engine needs to run a model that is compiled: bytes of the files that a
program ships with, and peak resident memory of a process that loads it and runs it.

usage: benchmarks/deploy.py [--engines rtorch,...] [--models NAME,...]

- Artifact: the file or files of the model, weights included.
- Libraries: the shared libraries of the engine; of PyTorch those that AOTInductor's package
  is loaded with.
- Peak memory: VmHWM of a fresh process on one thread after three calls. rtorch is run by
  `rtorch-run`, the others by a Python interpreter that imports nothing but the engine (10 MB).
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import record

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "docs/examples/semantic_search")]

import engines  # noqa: E402
import harness  # noqa: E402
import models  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402

# What the process of an engine runs: {0} is the artifact, {1} an .npz with the inputs.
PROGRAMS = {
    "onnxruntime": """
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession({0!r}, options)
arrays = numpy.load({1!r})
feed = {{v.name: arrays[f"arr_{{i}}"] for i, v in enumerate(session.get_inputs())}}
call = lambda: session.run(None, feed)
""",
    "openvino": """
import numpy, openvino
settings = {{"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
             "INFERENCE_NUM_THREADS": 1}}
model = openvino.Core().compile_model({0!r}, "CPU", settings)
arrays = numpy.load({1!r})
request, feed = model.create_infer_request(), list(arrays.values())
call = lambda: request.infer(feed)
""",
    "aotinductor": """
import numpy, torch
torch.set_num_threads(1)
model = torch._inductor.aoti_load_package({0!r})
inputs = [torch.from_numpy(a) for a in numpy.load({1!r}).values()]
call = lambda: model(*inputs)
""",
}
MEASURE = """
for _ in range(3):
    call()
print([l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")][0])
"""


def total(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def libraries(engine: str) -> int:
    """Bytes of the engine's shared libraries."""
    if engine == "rtorch":
        return (harness.BUILD / "lib" / "librtorch_runtime.so").stat().st_size
    package = {"onnxruntime": "onnxruntime", "openvino": "openvino"}.get(engine, "torch")
    folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    found = [path for path in folder.rglob("*.so*") if not path.is_symlink()]
    if engine == "aotinductor":
        names = ("libtorch_cpu", "libtorch.", "libc10.", "libgomp")
        found = [path for path in found if path.name.startswith(names)]
    return total(found)


def make(engine: str, case: models.Case, folder: Path) -> tuple[Path, int]:
    """The artifact in `folder`, and its bytes with all that belongs to it."""
    folder.mkdir()
    if engine == "onnxruntime":
        engines.OnnxRuntime(case, folder)
        return folder / "model.onnx", total(folder.iterdir())
    if engine == "openvino":
        import openvino

        program = torch.export.export(case.load(), case.inputs())
        openvino.save_model(
            openvino.convert_model(program), folder / "model.xml", compress_to_fp16=False
        )
        return folder / "model.xml", total(folder.iterdir())
    if engine == "aotinductor":
        engines.AotInductor(case, folder)
        path = folder / "aotinductor.pt2"
    else:
        engines.Rtorch(case, folder)
        path = folder / "rtorch.rtm"
    return path, path.stat().st_size


def peak_of_rtorch(artifact: Path, inputs: Path) -> float:
    command = [harness.BUILD / "bin" / "rtorch-run", artifact, "--inputs", inputs]
    command += ["--threads", 1, "--repeat", 3]
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, command)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


def peak(engine: str, artifact: Path, inputs: Path) -> float:
    """MB of resident memory at most."""
    if engine == "rtorch":
        return peak_of_rtorch(artifact, inputs)
    program = PROGRAMS[engine].format(str(artifact), str(inputs)) + MEASURE
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1024


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["rtorch", *PROGRAMS]
    names = [case.name for case in models.CASES]

    def words(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--engines", type=words, default=["rtorch"], help=f"of: {known}")
    parser.add_argument("--models", type=words, default=names, help=f"of: {', '.join(names)}")
    record.add_options(parser)
    options = parser.parse_args()
    for chosen, all_known in ((options.engines, known), (options.models, names)):
        for name in chosen:
            if name not in all_known:
                parser.error(f"unknown '{name}', expected one of: {', '.join(all_known)}")
    return options


def measure(case: models.Case, names: list[str]) -> dict[str, dict[str, float]]:
    """Prints a row for each engine."""
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name) / "inputs.npz"
        numpy.savez(inputs, *(tensor.numpy() for tensor in case.inputs()))
        for engine in names:
            artifact, size = make(engine, case, Path(name) / engine)
            shipped, used = libraries(engine), peak(engine, artifact, inputs)
            print(
                f"| {case.name} | {engine} | {size / 1e6:.1f} | {shipped / 1e6:.1f} | {used:.0f} |",
                flush=True,
            )
            figures[engine] = {
                "artifact_bytes": size,
                "library_bytes": shipped,
                "engine_memory_bytes": used * 2**20,
            }
    return figures


def main() -> None:
    options = parse()
    print("| model | engine | artifact MB | libraries MB | peak memory MB |")
    print("|---|---|---|---|---|")
    for case in models.CASES:
        if case.name not in options.models:
            continue
        facts = {
            "model": case.name,
            "options": {"benchmark": "deploy", "engines": options.engines},
            "versions": engines.versions(),
        }
        with record.begin(options.store, "benchmark", facts) as run:
            run.results = measure(case, options.engines)


if __name__ == "__main__":
    main()
