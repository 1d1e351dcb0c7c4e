"""tools/dev.sh and .ci/run as scripts: what they refuse, before they do anything."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def dev(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / "dev.sh", *args], capture_output=True, text=True, check=False
    )


def test_help_lists_the_commands():
    done = dev("--help")
    assert done.returncode == 0
    for command in ("build", "demo", "test", "fuzz", "lint"):
        assert f"\n  {command}" in done.stdout


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["fly"],
        ["build", "now"],
        ["test", "--only"],
        ["fuzz"],
        ["fuzz", "0"],
        ["test", "--only", "x"],
        ["test", "-k"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(args):
    done = dev(*args)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_continuous_integration_runs_every_test():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec tools/dev.sh test"
