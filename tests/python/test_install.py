"""What cmake --install leaves is enough for C and C++ programs outside of the tree."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))

IS_SANITIZED = "RTORCH_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text()
pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="programs would need the sanitizers, too")

C_PROGRAM = """
#include <rtorch/runtime.h>
#include <stdio.h>
int main(void) {
  rtorch_module *module = NULL;
  rtorch_error *error = rtorch_module_load("missing.rtm", NULL, &module);
  if (!error)
    return 1;
  printf("%s: %s\\n", rtorch_version(), rtorch_error_code(error));
  rtorch_error_destroy(error);
  return 0;
}
"""
CXX_PROGRAM = """
#include <cstdio>
#include <rtorch/record.hpp>
#include <rtorch/rtorch.hpp>
int main() {
  auto module = rtorch::Module::load("missing.rtm");
  std::string error;
  auto run = rtorch::record::Run::begin("test", {}, {"store"}, error);
  if (module || !run)
    return 1;
  run->metric("loss", 0.5);
  if (!run->finish("done", {}, error))
    return 1;
  std::puts(module.error().code.c_str());
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(rtorch 0.1 REQUIRED)
add_executable(c main.c)
target_link_libraries(c PRIVATE rtorch::runtime)
set_property(TARGET c PROPERTY C_STANDARD 11)
add_executable(cxx main.cpp)
target_link_libraries(cxx PRIVATE rtorch::runtime rtorch::record)
"""


def run(*command, **options) -> str:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    # Somewhere else than it was installed to: nothing may hold on to the first place.
    first = tmp_path_factory.mktemp("install") / "first"
    run("cmake", "--install", BUILD, "--prefix", first)
    return first.rename(first.with_name("moved"))


@pytest.fixture
def project(tmp_path) -> Path:
    for name, text in (
        ("main.c", C_PROGRAM),
        ("main.cpp", CXX_PROGRAM),
        ("CMakeLists.txt", PROJECT),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_cmake_projects_find_the_package(prefix, project):
    run("cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", project / "build")
    assert run(project / "build" / "c", cwd=project) == "0.1.0: RT_MODULE_IO\n"
    assert run(project / "build" / "cxx", cwd=project) == "RT_MODULE_IO\n"
    (directory,) = (project / "store" / "runs").iterdir()
    assert '"status": "done"' in (directory / "run.json").read_text()


def test_the_recording_example_writes_runs(prefix, tmp_path):
    tmp_path = tmp_path / "example"
    source = ROOT / "docs" / "examples" / "recording"
    run("cmake", "-S", source, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    linear = torch.nn.Linear(8, 4)
    archive, module = tmp_path / "linear.pt2", tmp_path / "linear.rtm"
    torch.export.save(torch.export.export(linear, (torch.randn(2, 8),)), archive)
    run(BUILD / "bin" / "rtorch-compile", archive, "-o", module, "--no-store", "-q")
    environment = os.environ | {"RTORCH_STORE": str(tmp_path / "store")}
    recorded = run(tmp_path / "recording", module, 20, env=environment).split()[-1]
    store = (prefix / "bin" / "rtorch-store", "--store", tmp_path / "store")
    shown = json.loads(run(*store, "show", recorded, "--json"))
    assert (shown["kind"], shown["status"]) == ("example", "done")
    assert shown["metrics"]["latency_s"]["count"] == 20
    assert 0 < shown["metrics"]["check_s"]["p50"] < shown["metrics"]["latency_s"]["max"]
    assert shown["results"]["peak_memory_bytes"] > 0
    assert run(*store, "verify", recorded).startswith("1 runs, 0 with problems")
    # What cannot be recorded is a warning.
    (tmp_path / "file").write_text("")
    words = [str(tmp_path / "recording"), str(module), "1"]
    environment["RTORCH_STORE"] = str(tmp_path / "file")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "warning: this run is not recorded" in done.stderr
    library = next(prefix.rglob("librtorch_record.so"))
    assert "sqlite" not in run("ldd", library)


def test_pkg_config_finds_the_runtime(prefix, project):
    folder = next(prefix.rglob("rtorch.pc")).parent
    environment = os.environ | {"PKG_CONFIG_PATH": str(folder)}
    flags = run("pkg-config", "--cflags", "--libs", "rtorch", env=environment).split()
    library = folder.parent
    run("cc", "-std=c11", project / "main.c", "-o", project / "c", *flags, f"-Wl,-rpath,{library}")
    assert run(project / "c", cwd=project) == "0.1.0: RT_MODULE_IO\n"


def test_installed_commands_run(prefix):
    assert run(prefix / "bin" / "rtorch-run", "--version").startswith("rtorch-run 0.1.0")
    assert "LLVM" in run(prefix / "bin" / "rtorch-compile", "--version")
    assert run(prefix / "bin" / "rtorch-store", "--version").startswith("rtorch-store 0.1.0")
