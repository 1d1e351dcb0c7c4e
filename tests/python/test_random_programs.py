"""Random programs through torch.compile against eager PyTorch.

`tools/dev.sh difftest N --compile` compares more of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import builtpackage  # noqa: F401
import pytest

pytest.importorskip("rtorch", reason="the package is not built")

FOLDER = Path(__file__).resolve().parents[1] / "difftest"
COUNT = 40
MOST_REFUSED = 0.1  # what torch.compile does not take


def test_random_programs(tmp_path):
    report = tmp_path / "report.json"
    words = [sys.executable, FOLDER / "run.py", str(COUNT), "--compile", "--seed", "500000"]
    done = subprocess.run(
        [*words, "--report", report], capture_output=True, text=True, check=False, env=os.environ
    )
    assert report.exists(), done.stderr
    tally = json.loads(report.read_text())
    print(tally)
    assert done.returncode == 0, done.stdout
    assert sum(tally.values()) == COUNT
    assert tally.get("refused", 0) <= MOST_REFUSED * COUNT, done.stdout
