"""The semantic search example end to end, as tools/dev.sh demo runs it."""

import subprocess
import sys

import harness
import minilm
import numpy as np
import pytest

EXAMPLE = harness.ROOT / "docs" / "examples" / "semantic_search"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, EXAMPLE / "export.py", folder], check=True)
    return folder


def search(*args) -> subprocess.CompletedProcess[str]:
    program = harness.BUILD / "examples" / "semantic_search"
    return subprocess.run([program, *args], capture_output=True, text=True, check=False)


def test_the_demo(exported):
    module = exported / "minilm.rtm"
    harness.succeed("rtorch-compile", exported / "minilm.pt2", "-o", module)
    done = search(
        *(module, exported / "tokens.npz", EXAMPLE / "sentences.txt", EXAMPLE / "queries.txt"),
        exported / "embeddings.npz",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    best = {query: lines[lines.index(query) + 1] for query in lines if f"{query}\n" in _queries()}
    assert "Strong winds" in best["How will the weather be?"]
    assert "central bank" in best["Something about money and the economy"]

    compared = subprocess.run(
        [sys.executable, EXAMPLE / "compare.py", exported],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stderr
    assert "largest difference" in compared.stdout


def _queries() -> str:
    return (EXAMPLE / "queries.txt").read_text()


def test_compare_refuses_wrong_embeddings(exported, tmp_path):
    """The comparison fails where a number differs: it is a test and not a decoration."""
    for name in ("tokens.npz", "minilm.pt2"):
        (tmp_path / name).symlink_to(exported / name)
    tokens = np.load(exported / "tokens.npz")
    model = minilm.load()
    wrong = {}
    for kind in ("sentences", "queries"):
        with harness.torch.no_grad():
            inputs = (harness.torch.from_numpy(tokens[f"{kind}_{n}"]) for n in ("ids", "mask"))
            wrong[kind] = model(*inputs).numpy() + np.float32(1e-3)
        wrong[f"{kind}_ms"] = np.float64(1)
    np.savez(tmp_path / "embeddings.npz", **wrong)
    done = subprocess.run(
        [sys.executable, EXAMPLE / "compare.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not close" in done.stderr


def test_a_missing_module_is_an_error(exported, tmp_path):
    arguments = [exported / "tokens.npz", EXAMPLE / "sentences.txt", EXAMPLE / "queries.txt"]
    done = search(tmp_path / "absent.rtm", *arguments, tmp_path / "out.npz")
    assert done.returncode == 1
    assert "absent.rtm" in done.stderr
