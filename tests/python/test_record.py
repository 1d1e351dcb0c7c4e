"""rtorch.record_run: a run of one's own in the experiment store."""

import json
import math
import subprocess
import warnings
from pathlib import Path

import jsonschema
import pytest
import torch
from builtpackage import BUILD, ROOT

rtorch = pytest.importorskip("rtorch", reason="the package is not built")
SCHEMAS = ROOT / "docs" / "reference" / "schemas"


def read(run, name):
    return [json.loads(line) for line in (Path(run.directory) / name).read_text().splitlines()]


def test_metrics_events_and_results(tmp_path):
    facts = {"model": "m", "options": {"rates": [0.1, None], "deep": {"x": True}}}
    with rtorch.record_run("train", facts, store=tmp_path) as run:
        for value in (1.0, torch.tensor(0.5), math.nan):
            run.metric("loss", value)
        run.event("epoch", {"epoch": 1, "is_last": True, "big": 1 << 80, "text": 'a"\n'})
        with pytest.raises(TypeError, match="not JSON serializable"):
            run.event("bad", {"x": object()})
        run.finish("done", {"steps": 3})
    document = json.loads((Path(run.directory) / "run.json").read_text())
    jsonschema.validate(document, json.loads((SCHEMAS / "run.schema.json").read_text()))
    assert (document["id"], document["kind"], document["status"]) == (run.id, "train", "done")
    assert document["options"] == facts["options"]
    metrics = read(run, "metrics.jsonl")
    assert len(metrics) == 3
    event = next(e for e in read(run, "events.jsonl") if e["event"] == "epoch")
    assert (event["epoch"], event["is_last"], event["text"]) == (1, True, 'a"\n')
    assert event["big"] == 1 << 80
    listed = subprocess.run(
        [BUILD / "bin" / "rtorch-store", "--store", tmp_path, "show", run.id],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    assert "loss" in listed.stdout


def test_exceptions_make_the_run_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), rtorch.record_run("train", store=tmp_path) as run:
        run.metric("loss", 1 / 0)
    document = json.loads((Path(run.directory) / "run.json").read_text())
    assert document["status"] == "failed"
    assert "ZeroDivisionError" in json.dumps(document)


def test_store_that_cannot_be_written_costs_one_warning(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(rtorch.RecordWarning) as warned:
        run = rtorch.record_run("train", store=tmp_path / "file")
    assert len(warned) == 1
    with warnings.catch_warnings(action="error"):
        run.metric("loss", 1.0)
        run.event("epoch")
        run.finish()
    assert run.id is None
