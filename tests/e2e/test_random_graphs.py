"""Random graphs against eager PyTorch: views, mutation, odd strides, all at once.

`tools/dev.sh difftest N` compares more of them, and prints what differs as a script.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "difftest"
COUNT = 500
MOST_REFUSED = 0.1  # ops that PyTorch does not export, or that rtorch lacks


def test_random_graphs(tmp_path):
    report = tmp_path / "report.json"
    words = [sys.executable, FOLDER / "run.py", str(COUNT), "--report", str(report)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    tally = json.loads(report.read_text())
    print(tally)
    assert done.returncode == 0, done.stdout
    assert sum(tally.values()) == COUNT
    assert tally.get("refused", 0) <= MOST_REFUSED * COUNT, done.stdout
