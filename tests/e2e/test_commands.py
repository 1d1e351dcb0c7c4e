"""The commands as a user meets them: exit statuses, help, and errors on bad files."""

import json
import random
import zipfile
from pathlib import Path

import archives
import harness
import numpy as np
import pytest
import torch

COMMANDS = ["rtorch-compile", "rtorch-run", "rtorch-opt"]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 16)

    def forward(self, x):
        return torch.relu(self.layer(x))


class Unsupported(torch.nn.Module):
    def forward(self, x):
        y = torch.linalg.inv(x)
        z = torch.linalg.inv(y + 1)
        return torch.fft.fft(z).real


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> harness.Compiled:
    folder = tmp_path_factory.mktemp("net")
    return harness.compile_module(folder, Net().eval(), (torch.randn(3, 8),))


def refused(out: Path, *args) -> str:
    """What rtorch-compile says on stderr as it fails with 1 and leaves no file."""
    done = harness.command("rtorch-compile", *args, "-o", out)
    assert done.returncode == 1, done.stderr
    assert not out.exists()
    assert done.stdout == ""
    return done.stderr


# --- usage --------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name):
    assert "--help" in harness.succeed(name, "--help").stdout


@pytest.mark.parametrize("name", ["rtorch-compile", "rtorch-run"])
def test_version(name):
    assert "0.1.0" in harness.succeed(name, "--version").stdout


def test_version_of_the_compiler_names_llvm_and_targets():
    said = harness.succeed("rtorch-compile", "--version").stdout
    assert "LLVM 22" in said
    assert "x86-64" in said.lower() or "x86_64" in said.lower()


@pytest.mark.parametrize("name", ["rtorch-compile", "rtorch-run"])
@pytest.mark.parametrize("args", [[], ["--no-such-option"]], ids=["none", "unknown"])
def test_wrong_usage_is_2(name, args):
    done = harness.command(name, *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr != ""


def test_an_unknown_target_cpu_is_an_error(net, tmp_path):
    said = refused(tmp_path / "x.rtm", net.archive, "--target-cpu", "no-such-cpu")
    assert "no-such-cpu" in said


@pytest.mark.parametrize("form", ["rt", "schedule", "mlir", "llvm", "asm"])
def test_emit_prints_text(net, form):
    assert harness.succeed("rtorch-compile", net.archive, "--emit", form).stdout.strip() != ""


def test_equal_input_gives_equal_bytes(net, tmp_path):
    again = tmp_path / "again.rtm"
    harness.succeed("rtorch-compile", net.archive, "-o", again)
    assert again.read_bytes() == net.path.read_bytes()


# --- archives -----------------------------------------------------------------


def test_a_missing_archive(tmp_path):
    assert "absent.pt2" in refused(tmp_path / "x.rtm", tmp_path / "absent.pt2")


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_not_an_archive(tmp_path, data):
    path = tmp_path / "bad.pt2"
    path.write_bytes(data)
    assert "bad.pt2" in refused(tmp_path / "x.rtm", path)


def test_a_zip_that_is_no_pt2(tmp_path):
    path = tmp_path / "bad.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/readme", "hello")
    assert "pt2" in refused(tmp_path / "x.rtm", path)


def test_archives_cut_short(net, tmp_path):
    data = net.archive.read_bytes()
    path = tmp_path / "cut.pt2"
    for i in range(20):
        path.write_bytes(data[: len(data) * i // 20])
        refused(tmp_path / "x.rtm", path)


def test_a_wrong_crc_in_a_weight(net, tmp_path):
    data = bytearray(net.archive.read_bytes())
    weight = net.eager.layer.weight.detach().numpy().tobytes()
    at = bytes(data).index(weight)
    data[at + 5] ^= 1
    path = tmp_path / "crc.pt2"
    path.write_bytes(data)
    said = refused(tmp_path / "x.rtm", path)
    assert "CRC" in said
    assert "weight" in said


def set_path(document, *keys_and_value):
    *keys, last, value = keys_and_value
    for key in keys:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema_version", "major", 9), "9"),
        (
            (
                "graph_module",
                "graph",
                "nodes",
                0,
                "inputs",
                0,
                "arg",
                {"as_tensor": {"name": "ghost"}},
            ),
            "ghost",
        ),
        (
            ("graph_module", "signature", "input_specs", 0, "parameter", "parameter_name", "ghost"),
            "ghost",
        ),
        (("graph_module", "graph", "tensor_values", "x", "sizes", 0, {"as_int": 2**62}), "x"),
        (("graph_module", "graph", "tensor_values", "x", "dtype", 99), "99"),
        (("graph_module", 7), "graph_module"),
    ],
    ids=["schema", "dangling value", "dangling weight", "size", "dtype", "type"],
)
def test_damaged_graphs(net, tmp_path, change, message):
    path = tmp_path / "bad.pt2"
    archives.rewrite_graph(net.archive, path, lambda graph: set_path(graph, *change))
    assert message in refused(tmp_path / "x.rtm", path)


def test_a_missing_weight(net, tmp_path):
    path = tmp_path / "bad.pt2"
    archives.without(net.archive, path, "data/weights/weight_0")
    assert "weight_0" in refused(tmp_path / "x.rtm", path)


def test_unknown_keys_are_ignored(net, tmp_path):
    path = tmp_path / "more.pt2"
    archives.rewrite_graph(net.archive, path, lambda graph: set_path(graph, "news", [1, 2]))
    harness.succeed("rtorch-compile", path, "-o", tmp_path / "x.rtm")


def test_ops_we_lack_are_reported_together(tmp_path):
    path = tmp_path / "lacking.pt2"
    torch.export.save(harness.export(Unsupported(), (torch.eye(4) * 2,)), path)
    said = refused(tmp_path / "x.rtm", path)
    for word in ("linalg_inv", "fft", "test_commands.py:"):
        assert word in said, said


# --- modules ------------------------------------------------------------------


def run_refused(*args) -> str:
    done = harness.command("rtorch-run", *args)
    assert done.returncode == 1, f"exit status {done.returncode}: {done.stderr}"
    assert done.stderr != ""
    return done.stderr


def test_a_missing_module(tmp_path):
    assert "absent.rtm" in run_refused(tmp_path / "absent.rtm", "--describe")


def test_a_good_module_verifies(net):
    harness.succeed("rtorch-run", net.path, "--verify")


def test_modules_cut_short(net, tmp_path):
    data = net.path.read_bytes()
    path = tmp_path / "cut.rtm"
    for i in range(50):
        path.write_bytes(data[: len(data) * i // 50])
        run_refused(path, "--verify")


def test_flipped_bits(net, tmp_path):
    data = net.path.read_bytes()
    path = tmp_path / "flipped.rtm"
    positions = random.Random(0).sample(range(len(data) * 8), 200)
    for bit in positions:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        run_refused(path, "--verify")


# --- rtorch-run ---------------------------------------------------------------


@pytest.fixture
def inputs(tmp_path) -> Path:
    path = tmp_path / "in.npz"
    np.savez(path, x=np.ones((3, 8), np.float32))
    return path


def test_run_writes_results(net, inputs, tmp_path):
    out = tmp_path / "out.npz"
    done = harness.succeed(
        "rtorch-run", net.path, "--inputs", inputs, "--outputs", out, "--json", "--repeat", "5"
    )
    report = json.loads(done.stdout)
    assert {"latency_median_s", "latency_p90_s", "first_s", "load_s", "peak_bytes"} <= set(report)
    with torch.no_grad():
        expected = net.eager(torch.ones(3, 8))
    torch.testing.assert_close(torch.from_numpy(np.load(out)["out_0"]), expected)


def test_profile_is_a_trace(net, inputs, tmp_path):
    trace = tmp_path / "trace.json"
    out = tmp_path / "out.npz"
    harness.succeed(
        *("rtorch-run", net.path, "--inputs", inputs, "--outputs", out, "--profile", trace)
    )
    document = json.loads(trace.read_text())
    events = document["traceEvents"] if isinstance(document, dict) else document
    assert any(event["ph"] == "X" and event["dur"] >= 0 for event in events)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.ones((3, 8), np.float64)}, ["x", "float64"]),
        ({"x": np.ones((3, 8, 1), np.float32)}, ["x", "rank"]),
        ({"x": np.ones((3, 9), np.float32)}, ["x", "9", "8"]),
        ({"x": np.ones((8, 3), np.float32).T}, ["x", "stride"]),
        ({}, ["1", "0"]),
        ({"x": np.ones((3, 8), np.float32), "y": np.ones(1)}, ["1", "2"]),
    ],
    ids=["dtype", "rank", "size", "strides", "too few", "too many"],
)
def test_inputs_that_break_the_contract(net, tmp_path, arrays, words):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays)
    said = run_refused(net.path, "--inputs", path, "--outputs", tmp_path / "out.npz")
    for word in words:
        assert word in said, said
    assert not (tmp_path / "out.npz").exists()


def test_relayout_copies_what_is_refused_without_it(net, tmp_path):
    path, out = tmp_path / "in.npz", tmp_path / "out.npz"
    array = np.arange(24, dtype=np.float32).reshape(8, 3).T
    np.savez(path, x=array)
    harness.succeed("rtorch-run", net.path, "--inputs", path, "--outputs", out, "--relayout")
    with torch.no_grad():
        expected = net.eager(torch.from_numpy(array.copy()))
    torch.testing.assert_close(torch.from_numpy(np.load(out)["out_0"]), expected)


def test_inputs_that_are_no_npz(net, tmp_path):
    path = tmp_path / "in.npz"
    path.write_bytes(b"hello")
    assert "in.npz" in run_refused(net.path, "--inputs", path, "--outputs", tmp_path / "o.npz")
