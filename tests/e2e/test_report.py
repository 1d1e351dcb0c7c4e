"""rtorch-store report: runs as one page of HTML, read as text and looked at in a browser."""

import html.parser
import itertools
import json
import os
import re
import struct
import subprocess
import threading
from pathlib import Path

import browser
import harness
import numpy as np
import pytest
import torch

EVIL = "<script>alert(1)&'\"{{body}}"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(self.conv(x).relu().mean((2, 3))).t()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Two compilations, a profiled run, a failed one and one with many metrics."""
    folder = tmp_path_factory.mktemp("report")
    archive = folder / f"{EVIL}.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.randn(2, 3, 16, 16),)), archive)
    x = np.ones((2, 3, 16, 16), np.float32)
    np.savez(folder / "in.npz", x=x)
    np.savez(folder / "bad.npz", x=x[:1])
    module, store = folder / f"{EVIL}.rtm", folder / "store"
    for cpu in ("x86-64-v2", "x86-64-v3"):
        words = ("-o", module, "--target-cpu", cpu, "--store", store, "-q")
        harness.succeed("rtorch-compile", archive, *words)
    run = ("rtorch-run", module, "--store", store, "--inputs")
    words = ("--repeat", "500", "--profile", folder / "trace.json")
    harness.succeed(*run, folder / "in.npz", *words)
    assert harness.command(*run, folder / "bad.npz").returncode == 1
    return store


def ids(store: Path) -> list[str]:
    """The oldest first."""
    rows = json.loads(harness.succeed("rtorch-store", "--store", store, "list", "--json").stdout)
    return [row["id"] for row in reversed(rows)]


@pytest.fixture(scope="module")
def report(store) -> Path:
    path = store / "report.html"
    harness.succeed("rtorch-store", "--store", store, "report", *ids(store), "-o", path)
    return path


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order, and collects them with their texts."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def read(report) -> Reader:
    return Reader(report.read_text())


def test_the_page_needs_nothing_else_and_runs_nothing(report, read):
    text = report.read_text()
    assert not read.all("script")
    assert not read.all("link")
    for tag, attributes in read.tags:
        assert not {"src", "srcset", "data"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href", "#").startswith("#")
    for word in ("http://", "https://", "url(", "@import"):
        assert word not in text


def test_names_are_text(read):
    assert f"1: {EVIL} (compile)" in read.texts["h2"]
    assert any(EVIL in title for title in read.texts["title"])


def test_charts_and_tables_say_what_they_are(read):
    targets = [a["id"] for _, a in read.tags if "id" in a]
    assert sorted(targets) == ["differences", "run-1", "run-2", "run-3", "run-4"]
    charts = [a for a in read.all("svg") if "role" in a]
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in charts)
    titles = [a["aria-label"].split(":")[0] for a in charts]
    for title in ("Phases", "Slowest kernels to compile", "Layouts", "latency_s"):
        assert title in titles
    assert len(read.texts["caption"]) == len(read.all("table"))
    # Axes have units.
    assert any("time (" in text for text in read.texts["text"])
    assert any("since the first launch (" in text for text in read.texts["text"])


def test_the_launches_of_a_profiled_run_are_a_timeline(store, read):
    run = next(path for path in (store / "runs").iterdir() if "launch" in events_of(path))
    launches = events_of(run)["launch"]
    spans = [text for text in read.texts["title"] if " for " in text]
    assert len(spans) == len(launches)
    for launch in launches:
        assert any(text.startswith(f"{launch['kernel']} for ") for text in spans)


def events_of(run: Path) -> dict[str, list[dict]]:
    events: dict[str, list[dict]] = {}
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        events.setdefault(event["event"], []).append(event)
    return events


def test_differences_are_those_of_compare(store, read):
    compared = json.loads(
        harness.succeed("rtorch-store", "--store", store, "compare", *ids(store), "--json").stdout
    )
    cells = read.texts["th"]
    assert "options.target_cpu" in compared["facts"]
    for name in [*compared["facts"], *(metric["name"] for metric in compared["metrics"])]:
        assert name in cells


def test_one_run_and_runs_that_failed(store, tmp_path):
    page = harness.succeed("rtorch-store", "--store", store, "report", ids(store)[-1]).stdout
    read = Reader(page)
    assert "Differences" not in read.texts["h2"]
    assert any("RT_LAYOUT_SIZE" in text for text in read.texts["p"])


def test_many_values_and_odd_ones(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(harness.ROOT / "benchmarks"))
    import record

    with record.begin(tmp_path, "training", {"model": "net"}) as run:
        for i in range(5000):
            run.metric("loss", float("nan") if i == 2500 else 1 / (i + 1))
            run.metric("constant", -3.0)
            run.metric("huge", 1e308 if i % 2 else -1e308)
        run.metric("infinite", float("inf"))
        run.metric("infinite", float("-inf"))
        run.metric("one_s", 1e-9)
    page = harness.succeed("rtorch-store", "--store", tmp_path, "report", *ids(tmp_path)).stdout
    read = Reader(page)
    charts = {a["aria-label"].split(":")[0]: a for a in read.all("svg") if "role" in a}
    assert charts["loss"]["aria-label"].startswith("loss: 5000 values from 0.0002 to 1")
    assert "infinite" not in charts  # nothing can be drawn; the table has them
    assert "infinite" in read.texts["th"]
    curves = [a["points"] for a in read.all("polyline")]
    assert len(curves) == 4  # of the loss, which has a gap, the constant and the huge
    assert not re.search(r'="-?(nan|inf)', page)
    numbers = [float(n) for curve in curves for n in curve.replace(",", " ").split()]
    assert min(numbers) >= 0
    assert max(numbers) <= 1000
    assert len(page) < 150_000


def test_the_page_is_complete_or_absent(store, tmp_path):
    command = ("rtorch-store", "--store", store, "report")
    page = tmp_path / "page.html"
    page.write_text("old")
    assert harness.command(*command, "19990101", "-o", page).returncode == 1
    assert page.read_text() == "old"
    done = harness.command(*command, ids(store)[0], "-o", tmp_path / "none" / "page.html")
    assert done.returncode == 1
    assert "cannot create" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html"]
    # What is no file is written to, not replaced.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    harness.succeed(*command, ids(store)[0], "-o", pipe)
    reader.join(30)
    assert pipe.is_fifo()
    assert received[0].endswith("</html>\n")
    words = [harness.BUILD / "bin" / command[0], *command[1:], ids(store)[0]]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(list(map(str, words)), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"cannot write to stdout" in done.stderr


def size_of(png: Path) -> tuple[int, int]:
    return struct.unpack(">II", png.read_bytes()[16:24])


@pytest.mark.skipif(browser.PROGRAM is None, reason="chromium is not installed")
def test_a_browser_shows_it_on_every_screen(report, tmp_path):
    backgrounds = {}
    with browser.Browser() as page:
        screens = ((375, 812), (1280, 900))
        for (width, height), scheme in itertools.product(screens, ("light", "dark")):
            page.requests.clear()
            page.open(report, width, height, scheme)
            assert page.evaluate("document.querySelectorAll('svg rect').length") > 10
            shot = tmp_path / f"{width}-{scheme}.png"
            page.screenshot(shot)
            assert size_of(shot) == (width, height)
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            backgrounds[scheme] = sum(map(int, background[4:-1].split(",")))
            for _ in ("closed", "open"):
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(OUTSIDE) == []
            assert page.evaluate("document.querySelectorAll('script').length") == 0
            assert [url for url in page.requests if not url.startswith("file:")] == []
            assert len(page.requests) == 1
        assert page.complaints == []
    assert backgrounds["light"] > 700 > 100 > backgrounds["dark"]


# Words and shapes of charts that stick out of the page, and words too small to read.
OUTSIDE = """
[...document.querySelectorAll('svg text, svg rect')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.left < -1 || box.right > document.documentElement.clientWidth + 1 ||
         (e.tagName == 'text' && parseFloat(getComputedStyle(e).fontSize) < 11);
}).map(e => e.outerHTML)
"""
