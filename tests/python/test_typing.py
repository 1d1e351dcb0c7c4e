"""Stubs say what the modules are, and a program that uses the package type-checks."""

import os
import subprocess
import sys

import pytest
from builtpackage import PACKAGE

pytest.importorskip("rtorch", reason="the package is not built")
pytest.importorskip("mypy", reason="requirements/dev.txt")

PROGRAM = """
from pathlib import Path

import rtorch


def main(path: Path) -> list[str]:
    rtorch.save_state_dict({}, path, {"step": "1"})
    state = rtorch.load_state_dict(path)
    with rtorch.record_run("train", {"model": "m"}, store=path.parent) as run:
        run.metric("loss", 0.5)
    module: rtorch.Module = rtorch.load(path)
    try:
        module(*state.values(), relayout=True)
    except rtorch.CheckpointError as error:
        return [error.code]
    return sorted(state) + rtorch.supported_ops()


rtorch.save_state_dict({}, 3)  # an error: no path
"""


def run(tmp_path, *command):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "MYPYPATH": ""}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


# PyTorch's own sources are not ours to check; what comes from it is Any.
SKIPPED = """
[mypy-torch.*]
follow_imports = skip
follow_imports_for_stubs = True
[mypy-sympy.*]
ignore_missing_imports = True
"""


def config(tmp_path, *settings, ours="ignore_errors = True"):
    lines = ["[mypy]", "strict = True", *settings, SKIPPED, "[mypy-rtorch.*]", ours]
    (tmp_path / "mypy.ini").write_text("\n".join(lines))
    return tmp_path / "mypy.ini"


def test_the_package_is_strictly_typed(tmp_path):
    any_is_torch = ("warn_return_any = False", "disallow_subclassing_any = False")
    status, output = run(
        tmp_path, "-m", "mypy",
        "--config-file", config(tmp_path, *any_is_torch, ours=""), "-p", "rtorch",
    )  # fmt: skip
    assert status == 0, output


def test_stubs_are_what_the_modules_are(tmp_path):
    # The classes have a metaclass of pybind11's own; their members are compared.
    (tmp_path / "allowed").write_text("rtorch\\._native\\.[A-Z]\\w*\n")
    status, output = run(
        tmp_path, "-m", "mypy.stubtest", "rtorch._native",
        "--mypy-config-file", config(tmp_path), "--allowlist", tmp_path / "allowed",
    )  # fmt: skip
    assert status == 0, output


def test_strict_user_program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    status, output = run(tmp_path, "-m", "mypy", "--config-file", config(tmp_path), "program.py")
    assert status == 1, output
    errors = [line for line in output.splitlines() if "error:" in line]
    assert len(errors) == 1, output
    assert "save_state_dict" in errors[0]
    assert "arg-type" in errors[0]
