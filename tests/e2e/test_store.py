"""The experiment store: every compilation and run is recorded, and found again."""

import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness
import jsonschema
import numpy as np
import pytest
import referencing
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(x).relu().t()


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "net.pt2"
    torch.export.save(torch.export.export(Net(), (torch.randn(3, 8),)), path)
    np.savez(path.with_suffix(".npz"), x=np.asfortranarray(np.ones((3, 8), np.float32)))
    np.savez(path.with_name("rows.npz"), x=np.ones((3, 8), np.float32))
    return path


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


def compile_into(store: Path, archive: Path, *options: str) -> Path:
    module = archive.with_suffix(".rtm")
    harness.succeed("rtorch-compile", archive, "-o", module, "--store", store, "-q", *options)
    return module


def run_into(store: Path, module: Path, *options: str, inputs: str = "rows.npz"):
    return harness.command(
        *("rtorch-run", module, "--inputs", module.with_name(inputs), "--store", store, *options)
    )


def query(store: Path, *words: str):
    return json.loads(harness.succeed("rtorch-store", "--store", store, *words, "--json").stdout)


def test_a_compilation_is_recorded(archive, store):
    compile_into(store, archive, "--target-cpu", "x86-64-v3")
    (row,) = query(store, "list")
    assert (row["kind"], row["model"], row["status"]) == ("compile", "net", "done")
    run = query(store, "show", row["id"])
    assert run["subject"]["path"] == str(archive)
    assert len(run["subject"]["hash"]) == 16
    assert run["options"]["target_cpu"] == "x86-64-v3"
    assert run["results"]["target_cpu"] == "x86-64-v3"
    assert run["results"]["views"] >= 1  # the transposed result
    assert "codegen" in run["results"]["phases"]
    assert len(run["results"]["kernels"]) == run["results"]["distinct_kernels"]
    assert run["results"]["layouts"]["contiguous"] >= 3
    assert run["results"]["peak_memory_bytes"] > 1e6
    assert run["host"]["cpus"] >= 1
    assert str(archive) in run["process"]["arguments"]
    text = harness.succeed("rtorch-store", "--store", store, "show", row["id"]).stdout
    assert "slowest phases" in text
    assert "slowest kernels" in text


def test_a_run_is_recorded(archive, store):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "21").returncode == 0
    (row,) = query(store, "list", "--kind", "run")
    assert row["latency_s"] > 0
    run = query(store, "show", row["id"][:-2])  # the beginning of an id is enough
    latency = run["metrics"]["latency_s"]
    assert latency["count"] == 20
    assert latency["min"] <= latency["p50"] <= latency["p90"] <= latency["max"]
    assert run["results"]["layouts"] == {"contiguous": 1, "transposed": 1}
    assert run["results"]["peak_bytes"] > 0
    assert run["options"]["repeat"] == 21


def test_the_contracts_check_and_peak_memory_are_recorded(archive, store):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "11").returncode == 0
    assert run_into(store, module, "--relayout", inputs="net.npz").returncode == 0
    copied, plain = (query(store, "show", r["id"])["results"] for r in query(store, "list")[:2])
    assert 0 < plain["check_s"] < plain["first_s"]
    assert 0 < plain["first_check_s"] < plain["first_s"]
    assert "check_s" not in copied  # there was one run only
    assert (plain["copied_bytes"], copied["copied_bytes"]) == (0, 3 * 8 * 4)
    # Of the process itself, not of the large one that started it.
    assert 1e6 < plain["peak_memory_bytes"] < 200e6


def test_the_error_of_quantiles_is_a_setting(archive, store):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "50", "--quantile-error", "0.1").returncode == 0
    (row,) = query(store, "list", "--kind", "run")
    assert query(store, "show", row["id"])["options"]["quantile_error"] == 0.1
    summary = json.loads((store / "runs" / row["id"] / "summary.json").read_text())
    assert summary["metrics"]["latency_s"]["epsilon"] == 0.1
    assert run_into(store, module, "--quantile-error", "0.9").returncode == 2


def test_a_profiled_runs_launches_are_events(archive, store, tmp_path):
    module = compile_into(store, archive)
    trace = tmp_path / "trace.json"
    assert run_into(store, module, "--profile", trace).returncode == 0
    (row,) = query(store, "list", "--kind", "run")
    lines = (store / "runs" / row["id"] / "events.jsonl").read_text().splitlines()
    launches = [e for e in map(json.loads, lines) if e["event"] == "launch"]
    spans = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    assert [e["kernel"] for e in launches] == [s["args"]["kernel"] for s in spans]
    assert launches
    assert all(0 <= e["begin_ns"] < e["end_ns"] for e in launches)
    for event in map(json.loads, lines):
        validate("event.schema.json", event)


def test_counters_belong_to_one_run(archive, store):
    module = compile_into(store, archive)
    for inputs, options in (("net.npz", ["--relayout"]), ("rows.npz", [])):
        assert run_into(store, module, *options, inputs=inputs).returncode == 0
    rows = query(store, "list", "--kind", "run")
    later, earlier = (query(store, "show", row["id"])["results"] for row in rows)
    assert earlier["layouts"] == {"transposed": 2}
    assert earlier["argument_copies"] == 1
    assert later["layouts"] == {"contiguous": 1, "transposed": 1}
    assert later["argument_copies"] == 0


def test_failures_are_recorded(archive, store, tmp_path):
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(archive.read_bytes()[:1000])
    assert harness.command("rtorch-compile", bad, "--store", store).returncode == 1
    module = compile_into(store, archive)
    assert run_into(store, module, inputs="net.npz").returncode == 1
    failed = query(store, "list", "--status", "failed")
    assert [row["kind"] for row in failed] == ["run", "compile"]
    assert "RT_LAYOUT_STRIDE" in query(store, "show", failed[0]["id"])["results"]["error"]
    assert "bad.pt2" in query(store, "show", failed[1]["id"])["results"]["error"]


def test_what_cannot_be_recorded_costs_one_warning(archive, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    module = tmp_path / "net.rtm"
    done = harness.command("rtorch-compile", archive, "-o", module, "--store", blocked)
    assert done.returncode == 0
    assert module.exists()
    assert done.stderr.count("warning: this run is not recorded") == 1


def test_recording_can_be_switched_off(archive, store, monkeypatch):
    monkeypatch.setenv("RTORCH_STORE", str(store))
    harness.succeed("rtorch-compile", archive, "-o", archive.with_suffix(".rtm"), "--no-store")
    assert not store.exists()
    harness.succeed("rtorch-compile", archive, "-o", archive.with_suffix(".rtm"))
    assert len(list((store / "runs").iterdir())) == 1


def test_comparing_shows_what_differs(archive, store):
    compile_into(store, archive, "--target-cpu", "x86-64-v3")
    compile_into(store, archive, "--target-cpu", "x86-64-v2")
    ids = sorted(row["id"] for row in query(store, "list"))
    result = query(store, "compare", *ids)
    assert sorted(result["facts"]["options.target_cpu"]) == ["x86-64-v2", "x86-64-v3"]
    assert "host.cpu" not in result["facts"]
    ratios = [abs(np.log(m["ratio"])) for m in result["metrics"] if (m["ratio"] or 0) > 0]
    assert ratios == sorted(ratios, reverse=True)
    assert any(m["name"] == "total_s" for m in result["metrics"])
    text = harness.succeed("rtorch-store", "--store", store, "compare", *ids).stdout
    assert "options.target_cpu" in text


def test_a_trend_shows_what_changed(archive, store):
    for cpu in ("x86-64-v3", "x86-64-v3", "x86-64-v2"):
        compile_into(store, archive, "--target-cpu", cpu)
    trend = query(store, "trend", "net")
    validate("trend.schema.json", trend)
    (series,) = [s for s in trend["series"] if s["metric"] == "total_s"]
    assert series["kind"] == "compile"
    first, second, third = series["points"]
    assert (first["ratio"], first["changed"], second["changed"]) == (None, {}, {})
    assert second["ratio"] == pytest.approx(second["value"] / first["value"])
    assert third["changed"]["options.target_cpu"] == ["x86-64-v3", "x86-64-v2"]
    (last,) = query(store, "trend", "net", "--metric", "total_s", "--limit", "1")["series"]
    assert [point["run"] for point in last["points"]] == [third["run"]]
    kernel = next(iter(query(store, "show", first["run"])["results"]["kernels"]))
    (series,) = query(store, "trend", kernel)["series"]
    assert series["metric"] == f"kernels.{kernel}"
    assert len(series["points"]) >= 2
    text = harness.succeed("rtorch-store", "--store", store, "trend", "net").stdout
    assert "options.target_cpu x86-64-v3 -> x86-64-v2" in text
    done = harness.command("rtorch-store", "--store", store, "trend", "ne", "--json")
    assert done.returncode == 1
    assert "no run that is done has a model or kernel 'ne'" in done.stderr


def test_benchmarks_record_as_the_commands_do(store, monkeypatch):
    monkeypatch.syspath_prepend(str(harness.ROOT / "benchmarks"))
    import record

    for latency in (2.0, 1.0):
        with record.begin(store, "benchmark", {"model": "net", "options": {"n": latency}}) as run:
            run.metric("latency_s.rtorch.t1", latency)
            run.metric("latency_s.rtorch.t1", float("nan"))
            run.results = {"rtorch.t1": {"ratio": latency / 4, "lost": float("nan")}}
    with pytest.raises(KeyError), record.begin(store, "benchmark", {"model": "net"}):
        raise KeyError
    assert [row["status"] for row in query(store, "list")] == ["failed", "done", "done"]
    assert harness.command("rtorch-store", "--store", store, "verify").returncode == 0
    for directory in (store / "runs").iterdir():
        validate("run.schema.json", json.loads((directory / "run.json").read_text()))
        validate("summary.schema.json", json.loads((directory / "summary.json").read_text()))
    (series,) = query(store, "trend", "net", "--metric", "ratio")["series"]
    assert [point["value"] for point in series["points"]] == [0.5, 0.25]
    assert series["points"][1]["changed"] == {"options.n": ["2.0", "1.0"]}


def on_terminal(*words) -> str:
    """What the command writes to stderr where that is a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side has gone
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them")
def test_progress_is_one_line_on_a_terminal_and_none_in_a_pipe(archive, store):
    module = archive.with_name("progress.rtm")
    compile_it = ("rtorch-compile", archive, "-o", module, "--store", store)
    run_it = ("rtorch-run", module, "--inputs", archive.with_name("rows.npz"), "--store", store)
    for words, expected in ((compile_it, "codegen 1 of"), (run_it, "run 1 of 1")):
        shown = on_terminal(harness.BUILD / "bin" / words[0], *words[1:])
        assert expected in shown
        assert "\n" not in shown
        assert shown.endswith("\r\x1b[K")  # nothing is left
        assert all(len(line) < 80 for line in re.split("\r\x1b\\[K", shown))
        assert harness.succeed(*words).stderr == ""
    quiet = on_terminal(harness.BUILD / "bin" / "rtorch-compile", *compile_it[1:], "-q")
    assert quiet == ""


def test_a_killed_run_loses_its_torn_last_line_at_most(archive, store):
    module = compile_into(store, archive)
    words = [harness.BUILD / "bin" / "rtorch-run", module, "--repeat", "100000000"]
    words += ["--inputs", module.with_name("rows.npz"), "--store", store]
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(f.stat().st_size > 5000 for f in store.glob("runs/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert query(store, "list", "--kind", "run")[0]["status"] == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    (row,) = query(store, "list", "--kind", "run")
    assert row["status"] == "lost"
    directory = store / "runs" / row["id"]
    metrics = directory / "metrics.jsonl"
    lines = metrics.read_bytes().split(b"\n")
    run = query(store, "show", row["id"])
    assert run["metrics"]["latency_s"]["count"] == len(lines) - 1
    # A line that was torn is told, and hides nothing else.
    with metrics.open("ab") as file:
        file.write(b'{"seq": 12')
    assert query(store, "show", row["id"])["metrics"]["latency_s"]["count"] == len(lines) - 1
    done = harness.command("rtorch-store", "--store", store, "verify")
    assert done.returncode == 1
    assert "metrics.jsonl ends in a torn line of 10 bytes" in done.stdout


def test_gaps_and_missing_files_are_found(archive, store):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "5").returncode == 0
    assert harness.command("rtorch-store", "--store", store, "verify").returncode == 0
    (row,) = query(store, "list", "--kind", "run")
    directory = store / "runs" / row["id"]
    lines = (directory / "metrics.jsonl").read_text().splitlines(keepends=True)
    (directory / "metrics.jsonl").write_text("".join(lines[:1] + lines[2:]))
    (directory / "events.jsonl").unlink()
    done = harness.command("rtorch-store", "--store", store, "verify", row["id"])
    assert done.returncode == 1
    assert "metrics.jsonl:2 has the seq 2, expected 1" in done.stdout
    assert "metrics.jsonl has 3 records, expected 4" in done.stdout
    assert "events.jsonl is missing" in done.stdout


@pytest.mark.parametrize("damage", ["missing", "torn", "noise", "other version"])
def test_the_index_is_made_again(archive, store, damage):
    compile_into(store, archive)
    before = query(store, "list")
    index = store / "index.sqlite"
    assert index.exists()
    for left in store.glob("index.sqlite-*"):
        left.unlink()
    if damage == "missing":
        index.unlink()
    elif damage == "torn":
        index.write_bytes(index.read_bytes()[:5000])
    elif damage == "noise":
        index.write_bytes(os.urandom(8192))
    else:
        data = bytearray(index.read_bytes())
        data[60:64] = (99).to_bytes(4, "big")  # user_version
        index.write_bytes(data)
    compile_into(store, archive)
    after = query(store, "list")
    assert len(after) == 2
    assert after[1] == before[0]


def test_many_processes_use_one_store(archive, store):
    """Each writes runs of its own; the index is shared."""
    module = compile_into(store, archive)
    run = [harness.BUILD / "bin" / "rtorch-run", module, "--store", store]
    run += ["--inputs", module.with_name("rows.npz")]
    list_all = [harness.BUILD / "bin" / "rtorch-store", "--store", store, "list"]
    processes = [
        subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(8)
        for words in (run, list_all)
    ]
    for process in processes:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    assert len(query(store, "list", "--kind", "run")) == 8


def test_one_bad_run_hides_no_others(archive, store):
    compile_into(store, archive)
    (store / "runs" / "20200101-000000-broken").mkdir()
    empty = store / "runs" / "20200101-000001-empty"
    empty.mkdir()
    (empty / "run.json").write_text("")
    assert (
        "3 runs in the index" in harness.succeed("rtorch-store", "--store", store, "rebuild").stdout
    )
    statuses = [row["status"] for row in query(store, "list")]
    assert statuses == ["done", "unreadable", "unreadable"]
    assert harness.command("rtorch-store", "--store", store, "verify").returncode == 1


def test_old_runs_are_removed(archive, store):
    for _ in range(4):
        compile_into(store, archive)
    newest = [row["id"] for row in query(store, "list")][:2]
    gc = ("rtorch-store", "--store", store, "gc")
    assert harness.command(*gc).returncode == 1
    assert "2 runs would be" in harness.succeed(*gc, "--keep", 2, "--dry-run").stdout
    assert "2 runs removed" in harness.succeed(*gc, "--keep", 2).stdout
    assert [row["id"] for row in query(store, "list")] == newest
    assert "0 runs removed" in harness.succeed(*gc, "--older-than", 1).stdout


def test_exports_are_complete_or_absent(archive, store, tmp_path):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "4").returncode == 0
    (row,) = query(store, "list", "--kind", "run")
    export = ("rtorch-store", "--store", store, "export", row["id"])
    target = tmp_path / "run.json"
    harness.succeed(*export, "-o", target)
    exported = json.loads(target.read_text())
    assert exported["trailer"] == {"rows": 4, "complete": True}
    assert [m["k"] for m in exported["metrics"]] == ["latency_s"] * 3
    assert harness.succeed(*export).stdout == target.read_text()  # the same each time
    lines = harness.succeed(*export, "--to", "csv").stdout.splitlines()
    assert lines[0] == "seq,t_ns,metric,value"
    assert len(lines) == 5
    assert lines[-1] == "# rows=3 complete"
    done = harness.command(*export, "-o", tmp_path / "none" / "run.json")
    assert done.returncode == 1
    assert "cannot create" in done.stderr
    # A disk that is full, after the first bytes.
    words = [harness.BUILD / "bin" / export[0], *export[1:], "-o", tmp_path / "full.json"]
    done = subprocess.run(
        list(map(str, words)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        restore_signals=False,  # the signal of that limit stays ignored
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert not list(tmp_path.glob("full.json*"))


SCHEMAS = harness.ROOT / "docs" / "reference" / "schemas"


def validate(name: str, value) -> None:
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.iterdir()}
    registry = referencing.Registry().with_contents(schemas.items())
    jsonschema.Draft202012Validator(schemas[name], registry=registry).validate(value)


def test_files_are_as_their_schemas_say(archive, store):
    module = compile_into(store, archive)
    assert run_into(store, module, "--repeat", "4").returncode == 0
    assert run_into(store, module, inputs="net.npz").returncode == 1
    for path in SCHEMAS.iterdir():
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
    for directory in (store / "runs").iterdir():
        validate("run.schema.json", json.loads((directory / "run.json").read_text()))
        validate("summary.schema.json", json.loads((directory / "summary.json").read_text()))
        exported = harness.succeed("rtorch-store", "--store", store, "export", directory.name)
        validate("export.schema.json", json.loads(exported.stdout))
    report = harness.succeed("rtorch-compile", archive, "-o", module, "--no-store", "--json")
    validate("report.schema.json", json.loads(report.stdout))
    with pytest.raises(jsonschema.ValidationError):
        validate("metric.schema.json", {"seq": 0, "t": 1, "k": "x"})


def test_wrong_ids_and_stores_are_errors(archive, store, tmp_path):
    compile_into(store, archive)
    done = harness.command("rtorch-store", "--store", store, "show", "19990101")
    assert done.returncode == 1
    assert "there is no run '19990101'" in done.stderr
    compile_into(store, archive)
    done = harness.command("rtorch-store", "--store", store, "show", "2")
    assert done.returncode == 1
    assert "2 runs begin with '2'" in done.stderr
    done = harness.command("rtorch-store", "--store", tmp_path / "none", "list")
    assert done.returncode == 1
    assert "there is no store in" in done.stderr
    assert harness.command("rtorch-store", "frobnicate").returncode == 2


def test_ten_thousand_runs_are_listed(archive, store):
    """Of many runs, a list reads what is new; no time is asserted."""
    compile_into(store, archive)
    (first,) = (store / "runs").iterdir()
    for i in range(10000):
        copy = first.with_name(f"20200101-000000-{i:08x}")
        copy.mkdir()
        shutil.copy(first / "run.json", copy)
        shutil.copy(first / "summary.json", copy)
    assert len(query(store, "list")) == 10001  # makes the index
    begin = time.perf_counter()
    harness.succeed("rtorch-store", "--store", store, "list", "--limit", "50")
    some = time.perf_counter()
    harness.succeed("rtorch-store", "--store", store, "list")
    print(
        f"\n50 of 10,001 runs listed in {(some - begin) * 1e3:.0f} ms, "
        f"all in {(time.perf_counter() - some) * 1e3:.0f} ms"
    )
    assert len(query(store, "list", "--limit", "7")) == 7
