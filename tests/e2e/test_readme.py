"""The snippets of README.md run as pasted, one after the other."""

import os
import re
import subprocess
from pathlib import Path

import harness
import numpy as np
import pytest


def snippets() -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    text = (harness.ROOT / "README.md").read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder with what `tools/dev.sh build` leaves in the root of a checkout."""
    for name in (".venv", "runtime"):
        (tmp_path / name).symlink_to(harness.ROOT / name)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "release").symlink_to(harness.BUILD)
    return tmp_path


def paste(snippet: str, folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", snippet]
    env = {
        **os.environ,
        "PYTHONPATH": "build/release/python",
        "RTORCH_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippets(checkout):
    printed = []
    for language, text in snippets():
        if language == "cpp":
            (checkout / "main.cpp").write_text(text)
        elif language == "python":
            paste(f".venv/bin/python - <<'PY'\n{text}PY\n", checkout)
        else:
            assert language == "sh"
            printed.append(paste(text, checkout))
    assert len(printed) == 2

    first_row = np.load(checkout / "out.npz")["out_0"][0]
    np.testing.assert_allclose([float(line) for line in printed[1].split()], first_row, atol=2e-6)
