"""Models that are linked into programs: rtorch_add_module, C11 and C++, no file at run time."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))

IS_SANITIZED = "RTORCH_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text()
pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="programs would need the sanitizers, too")

C_PROGRAM = r"""
#include <net.h>
#include <stdio.h>
#include <stdlib.h>
static void check(rtorch_error *error) {
  if (!error)
    return;
  fprintf(stderr, "%s: %s\n", rtorch_error_code(error), rtorch_error_message(error));
  exit(1);
}
int main(void) {
  rtorch_module *module = NULL;
  rtorch_instance *instance = NULL;
  check(rtorch_module_open_embedded(&net, NULL, &module));
  check(rtorch_instance_create(module, &instance));
  float data[2 * 6];
  for (int i = 0; i < 12; ++i)
    data[i] = 0.25f * (float)i - 1;
  const int64_t sizes[] = {2, 6};
  rtorch_value x = RTORCH_VALUE_INIT, y = RTORCH_VALUE_INIT;
  x.kind = RTORCH_VALUE_TENSOR;
  x.dtype = RTORCH_FLOAT32;
  x.rank = 2;
  x.sizes = sizes;
  x.data = data;
  check(rtorch_instance_run(instance, &x, 1, &y, 1, NULL));
  for (int i = 0; i < 8; ++i)
    printf("%.9g\n", ((const float *)y.data)[i]);
  rtorch_instance_destroy(instance);
  rtorch_module_destroy(module);
  return 0;
}
"""
CXX_PROGRAM = r"""
#include <cstdio>
#include <net.h>
#include <other.h>
#include <rtorch/rtorch.hpp>
int main() {
  std::vector<float> data(12);
  for (size_t i = 0; i < 12; ++i)
    data[i] = 0.25f * float(i) - 1;
  // Two modules in one program: their kernels have names of their own.
  for (const rtorch_embedded_module *embedded : {&net, &other}) {
    auto module = rtorch::Module::embedded(*embedded);
    if (!module) {
      std::fprintf(stderr, "%s\n", module.error().message.c_str());
      return 1;
    }
    auto results = module->run({rtorch::Tensor::borrow(std::span(data), {2, 6})});
    if (!results)
      return 1;
    const auto &y = std::get<rtorch::Tensor>((*results)[0].variant());
    for (int i = 0; i < 8; ++i)
      std::printf("%.9g\n", static_cast<const float *>(y.raw())[i]);
  }
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(rtorch 0.1 REQUIRED)
rtorch_add_module(net net.pt2 TARGET_CPU x86-64-v2 x86-64-v3)
rtorch_add_module(second second.pt2 NAME other STATIC_RUNTIME)
rtorch_add_module(alone net.pt2 NAME net STATIC_RUNTIME)
add_executable(c main.c)
set_property(TARGET c PROPERTY C_STANDARD 11)
target_link_libraries(c PRIVATE net)
add_executable(c_static main.c)
target_link_libraries(c_static PRIVATE alone)
target_link_options(c_static PRIVATE -static-libgcc)
set_property(TARGET c_static PROPERTY LINKER_LANGUAGE CXX)
add_executable(cxx main.cpp)
target_link_libraries(cxx PRIVATE alone second)
"""


def run(*command, **options) -> str:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 33), nn.GELU(), nn.Linear(33, 4)).eval()


def expected(model: nn.Module) -> torch.Tensor:
    return model((0.25 * torch.arange(12.0) - 1).reshape(2, 6)).detach().flatten()


def check(output: str, *models: nn.Module) -> None:
    ours = torch.tensor([float(line) for line in output.split()])
    torch.testing.assert_close(ours, torch.cat([expected(model) for model in models]))


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """A folder with the programs, from which the models and libraries are gone."""
    folder = tmp_path_factory.mktemp("embedded")
    prefix = folder / "prefix"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    for name, seed in (("net", 1), ("second", 2)):
        torch.export.save(
            torch.export.export(net(seed), (torch.zeros(2, 6),)), folder / f"{name}.pt2"
        )
    for name, text in (
        ("main.c", C_PROGRAM),
        ("main.cpp", CXX_PROGRAM),
        ("CMakeLists.txt", PROJECT),
    ):
        (folder / name).write_text(text)
    run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", folder / "build")
    for path in (*folder.glob("*.pt2"), *folder.rglob("*.a"), *folder.rglob("*.o")):
        path.unlink()
    return folder / "build"


@pytest.mark.parametrize("program", ["c", "c_static"])
def test_programs_in_c_run_from_an_empty_folder(programs, tmp_path, program):
    check(run(programs / program, cwd=tmp_path), net(1))
    assert not list(tmp_path.iterdir())


def test_a_program_in_cxx_has_two_modules(programs, tmp_path):
    check(run(programs / "cxx", cwd=tmp_path), net(1), net(2))


def test_the_static_runtime_needs_no_library_of_ours(programs):
    assert "librtorch" not in run("ldd", programs / "c_static")
    assert "librtorch_runtime" in run("ldd", programs / "c")


def test_a_level_can_be_forced(programs, tmp_path):
    environment = os.environ | {"RTORCH_CPU_LEVEL": "x86-64-v2"}
    check(run(programs / "c", cwd=tmp_path, env=environment), net(1))


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_nothing_but_libraries_is_read(programs, tmp_path):
    log = tmp_path / "log"
    run("strace", "-f", "-e", "trace=open,openat,mmap", "-o", log, programs / "c_static")
    opened = re.findall(r'open(?:at)?\([^"]*"([^"]*)"', log.read_text())
    assert opened
    ours = [p for p in opened if not re.search(r"\.so(\.|$)|^/(etc|proc|sys|dev)/", p)]
    assert ours == []


def test_building_again_does_nothing_and_headers_say_the_contract(programs):
    header = (programs / "net.module" / "net.h").read_text()
    assert "float32 [2, 6] strides [6, 1]" in header
    assert "extern const rtorch_embedded_module net;" in header


def test_the_same_input_gives_the_same_bytes(tmp_path):
    torch.export.save(torch.export.export(net(1), (torch.zeros(2, 6),)), tmp_path / "m.pt2")
    bytes_ = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        library = tmp_path / name / "libnet.a"
        run(
            BUILD / "bin" / "rtorch-compile",
            tmp_path / "m.pt2",
            "-o",
            library,
            "--emit=static",
            "-q",
            "--no-store",
        )
        bytes_.append(library.read_bytes() + (tmp_path / name / "net.h").read_bytes())
    assert bytes_[0] == bytes_[1]
    header = tmp_path / "only.h"
    run(
        BUILD / "bin" / "rtorch-compile",
        tmp_path / "m.pt2",
        "-o",
        header,
        "--emit=header",
        "--name=net",
        "-q",
        "--no-store",
    )
    assert header.read_text() == (tmp_path / "a" / "net.h").read_text()
