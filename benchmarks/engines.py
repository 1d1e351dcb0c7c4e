"""One class per engine: how it is prepared from a model, and the call that is timed.

An engine's `call(threads)` gives a function without arguments that does one inference on
inputs prepared beforehand and returns its result.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import capi
import harness
import models
import torch

Call = Callable[[], object]


def versions() -> dict[str, str]:
    rtorch = harness.succeed("rtorch-compile", "--version").stdout.split()[1]
    return {"rtorch": rtorch, "torch": torch.__version__}


def seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


class Eager:
    """PyTorch as it is, under inference_mode."""

    name = "eager"

    def __init__(self, case: models.Case, folder: Path):
        self._model, self._inputs = case.load(), case.inputs()

    def call(self, threads: int) -> Call:
        def run() -> object:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return self._model(*self._inputs)

        return run


class Rtorch:
    """Our module, through the C API; compiled by the command as a user would."""

    name = "rtorch"

    def export(self, case: models.Case) -> torch.export.ExportedProgram:
        return case.export(case.load())

    def __init__(self, case: models.Case, folder: Path):
        archive = folder / f"{self.name}.pt2"
        self._path = archive.with_suffix(".rtm")
        torch.export.save(self.export(case), archive)
        self.compile_s = seconds(
            lambda: harness.succeed("rtorch-compile", archive, "-o", self._path)
        )
        self._inputs = list(case.inputs())
        begin = time.perf_counter()
        self._instance = capi.Instance(capi.Module(self._path))
        self._instance.run(self._inputs, threads=1)
        self.first_s = time.perf_counter() - begin

    def call(self, threads: int) -> Call:
        return self._instance.prepare(self._inputs, threads=threads)


class RtorchStatic(Rtorch):
    """Our module of the graph exported for the measured sizes alone."""

    name = "rtorch-static"

    def export(self, case: models.Case) -> torch.export.ExportedProgram:
        return torch.export.export(case.load(), case.inputs())


def with_empty_cache(*arguments: str) -> float:
    """The seconds that this file, run with the arguments in a process of its own, prints."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "TORCHINDUCTOR_CACHE_DIR": cache,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])["compile_s"]


class Inductor:
    """torch.compile with its default settings; compiled in a fresh process, empty cache."""

    name = "inductor"

    def __init__(self, case: models.Case, folder: Path):
        self.compile_s = with_empty_cache(case.name)
        self._model = torch.compile(case.load(), dynamic=False)
        self._inputs = case.inputs()

    def call(self, threads: int) -> Call:
        def run() -> object:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return self._model(*self._inputs)

        return run


class AotInductor:
    """The package that AOTInductor makes; compiled in a fresh process, empty cache."""

    name = "aotinductor"

    def __init__(self, case: models.Case, folder: Path):
        package = folder / "aotinductor.pt2"
        self.compile_s = with_empty_cache(case.name, str(package))
        self._inputs = case.inputs()
        self._model = torch._inductor.aoti_load_package(str(package))

    def call(self, threads: int) -> Call:
        def run() -> object:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return self._model(*self._inputs)

        return run


class OnnxRuntime:
    """ONNX Runtime on the graph that torch.onnx.export writes, all optimisations on."""

    name = "onnxruntime"

    def __init__(self, case: models.Case, folder: Path):
        self._path = folder / "model.onnx"
        model, inputs = case.load(), case.inputs()
        torch.onnx.export(model, inputs, str(self._path), dynamo=True, verbose=False)
        self.compile_s = seconds(lambda: self._session(1))
        names = [value.name for value in self._session(1).get_inputs()]
        self._feed = {n: t.numpy() for n, t in zip(names, inputs, strict=True)}
        self._sessions: dict[int, object] = {}

    def _session(self, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self._path, options)

    def call(self, threads: int) -> Call:
        session = self._sessions.setdefault(threads, self._session(threads))
        return lambda: session.run(None, self._feed)


class OpenVino:
    """OpenVINO on the exported program, in float32 as the others, tuned for latency."""

    name = "openvino"

    def __init__(self, case: models.Case, folder: Path):
        import openvino

        program = torch.export.export(case.load(), case.inputs())
        self._openvino, self._model = openvino, openvino.convert_model(program)
        self._feed = [tensor.numpy() for tensor in case.inputs()]
        self.compile_s = seconds(lambda: self._compiled(1))

    def _compiled(self, threads: int):
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
        }
        return self._openvino.compile_model(self._model, "CPU", settings)

    def call(self, threads: int) -> Call:
        request = self._compiled(threads).create_infer_request()
        return lambda: request.infer(self._feed, share_inputs=True, share_outputs=True)


def available(name: str) -> bool:
    """Whether the optional packages that an engine needs are installed."""
    needs = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino",)}
    return all(importlib.util.find_spec(package) for package in needs.get(name, ()))


ENGINES = {
    engine.name: engine
    for engine in (Eager, Rtorch, RtorchStatic, Inductor, AotInductor, OnnxRuntime, OpenVino)
}


def _inductor_cold(case: models.Case) -> float:
    """Seconds of the first call less those of a later one: what compiling took."""
    model, inputs = torch.compile(case.load(), dynamic=False), case.inputs()
    with torch.inference_mode():
        first = seconds(lambda: model(*inputs))
        return first - seconds(lambda: model(*inputs))


def _aot_inductor_cold(case: models.Case, package: str) -> float:
    """Seconds of making the package from the exported program."""
    with torch.inference_mode():
        program = torch.export.export(case.load(), case.inputs())
        return seconds(
            lambda: torch._inductor.aoti_compile_and_package(program, package_path=package)
        )


if __name__ == "__main__":
    [chosen] = [case for case in models.CASES if case.name == sys.argv[1]]
    cold = _aot_inductor_cold(chosen, sys.argv[2]) if sys.argv[2:] else _inductor_cold(chosen)
    print(json.dumps({"compile_s": cold}))
