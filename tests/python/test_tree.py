"""Rules of the tree that no compiler checks: layering, exported symbols, links in documents."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import not_sanitized

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))
RUNTIME = BUILD / "lib" / "librtorch_runtime.so"

SYSTEM = re.compile(r"^(libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|ld-linux-.*)\.so\.\d+$")

# folder: what no file in it may include
FORBIDDEN = {
    "runtime": r"(compiler|dialects|python|tools)/|(llvm|mlir|lld)/|Python\.h|pybind11",
    "runtime/core": r"nlohmann|sqlite3|runtime/(record|store)/",
    "runtime/executor": r"nlohmann|sqlite3|runtime/(record|store)/",
    "runtime/checkpoint": r"nlohmann|sqlite3|runtime/(?!checkpoint/|core/|format/|include/)",
    "runtime/record": r"nlohmann|sqlite3|runtime/(?!record/|include/)",
    "runtime/store": r"runtime/(?!store/|record/|include/)",
    "runtime/layout": r"runtime/(?!layout/)",
    "runtime/format": r"runtime/(?!format/)",
    "runtime/archive": r"runtime/(?!archive/)",
    "runtime/include": r"runtime/",
    "dialects": r"(compiler|tools)/|nlohmann|runtime/(?!layout/)",
    "compiler/schedule": r"compiler/(import|codegen|emit)/|nlohmann",
    "compiler/codegen": r"compiler/(import|emit)/|nlohmann",
}


def sources(folder: str) -> list[Path]:
    return [p for p in (ROOT / folder).rglob("*") if p.suffix in {".h", ".hpp", ".cpp", ".c"}]


def lines_of(*command: str | Path) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def needed(binary: Path) -> list[str]:
    found = (re.search(r"\(NEEDED\).*\[(.+)\]", line) for line in lines_of("readelf", "-d", binary))
    return [match[1] for match in found if match]


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_includes_follow_the_layers(folder):
    wrong = []
    for path in sources(folder):
        for include in re.findall(
            r'^\s*#\s*include\s*[<"](.+)[>"]', path.read_text(), re.MULTILINE
        ):
            if re.match(FORBIDDEN[folder], include):
                wrong.append(f"{path.relative_to(ROOT)} includes {include}")
    assert wrong == []


def test_only_import_knows_the_schema_of_pytorch():
    users = {
        str(path.relative_to(ROOT))
        for folder in ("dialects", "compiler", "runtime")
        for path in sources(folder)
        if re.search(r'"(torch\.ops\.)?aten[.:]', path.read_text())
    }
    assert {user for user in users if not user.startswith("compiler/import/")} == set()


@not_sanitized
def test_the_runtime_needs_only_the_c_and_cxx_libraries():
    assert [name for name in needed(RUNTIME) if not SYSTEM.match(name)] == []


@not_sanitized
def test_the_runtime_exports_c_symbols_only():
    symbols = [line.split()[-1] for line in lines_of("nm", "-D", "--defined-only", RUNTIME)]
    assert symbols
    assert [name for name in symbols if not name.startswith("rtorch_")] == []


@not_sanitized
def test_the_runtime_is_small(tmp_path):
    stripped = tmp_path / "runtime.so"
    subprocess.run(["strip", "-o", stripped, RUNTIME], check=True)
    assert stripped.stat().st_size <= 300 * 1024


@pytest.mark.parametrize("program", ["bin/rtorch-run", "examples/semantic_search"])
def test_programs_that_run_modules_need_no_compiler(program):
    names = needed(BUILD / program)
    assert [name for name in names if re.search("LLVM|MLIR|python|torch_python", name)] == []


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


@pytest.mark.parametrize("path", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(path):
    prose = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.skipif(
    not Path("/usr/lib/llvm-22/bin/mlir-tblgen").exists(), reason="needs mlir-tblgen"
)
def test_dialect_page_is_up_to_date():
    script = ROOT / "tools" / "generate_dialect_docs.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    not (ROOT / "build" / "release" / "bin" / "rtorch-compile").exists(), reason="needs a build"
)
def test_op_page_is_up_to_date():
    script = ROOT / "tools" / "generate_op_docs.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
