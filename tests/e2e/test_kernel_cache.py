"""Kernels on disk: equal ones are taken from there, whatever module they belong to."""

import subprocess

import harness
import pytest
import torch
from torch import nn


@pytest.fixture
def archives(tmp_path):
    """Two models that share the kernel of their first layers."""
    paths = []
    for i, last in enumerate((nn.ReLU(), nn.Softmax(-1))):
        model = nn.Sequential(nn.Linear(64, 48), nn.GELU(), nn.Linear(48, 9), last).eval()
        paths.append(tmp_path / f"model{i}.pt2")
        torch.export.save(torch.export.export(model, (torch.randn(5, 64),)), paths[-1])
    return paths


def compile_with(cache, archive, output):
    done = harness.succeed("rtorch-compile", archive, "-o", output, "--kernel-cache", cache)
    [line] = [line for line in done.stdout.splitlines() if "distinct" in line]
    words = line.replace(",", "").split()
    distinct = int(words[words.index("distinct") - 1])
    return distinct, int(words[words.index("from") - 1]) if "from" in words else 0


def test_modules_are_the_same_with_and_without(tmp_path, archives):
    first, second, plain = (tmp_path / f"{i}.rtm" for i in range(3))
    distinct, cached = compile_with(tmp_path / "cache", archives[0], first)
    assert cached == 0
    assert compile_with(tmp_path / "cache", archives[0], second) == (distinct, distinct)
    harness.succeed("rtorch-compile", archives[0], "-o", plain)
    assert first.read_bytes() == second.read_bytes() == plain.read_bytes()


def test_other_models_share_kernels(tmp_path, archives):
    compile_with(tmp_path / "cache", archives[0], tmp_path / "0.rtm")
    distinct, cached = compile_with(tmp_path / "cache", archives[1], tmp_path / "1.rtm")
    assert 0 < cached < distinct
    # Those of another target are others.
    words = ["--target-cpu", "x86-64-v2", "--kernel-cache", tmp_path / "cache", "-o"]
    done = harness.succeed("rtorch-compile", archives[1], *words, tmp_path / "2.rtm")
    assert "from the cache" not in done.stdout


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "noise"])
def test_damaged_entries_are_made_again(tmp_path, archives, damage):
    cache, output = tmp_path / "cache", tmp_path / "m.rtm"
    compile_with(cache, archives[0], output)
    good = output.read_bytes()
    for entry in cache.iterdir():
        content = bytearray(entry.read_bytes())
        if damage == "changed":
            content[-100] ^= 255
        shorter = {"empty": b"", "cut": content[: len(content) // 2], "noise": b"\x80" * 300}
        entry.write_bytes(shorter.get(damage, bytes(content)))
    assert compile_with(cache, archives[0], output)[1] == 0
    assert output.read_bytes() == good
    assert compile_with(cache, archives[0], output)[1] > 0


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, archives):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert compile_with(blocked, archives[0], tmp_path / "m.rtm")[1] == 0


def test_many_processes_share_a_folder(tmp_path, archives):
    processes = [
        subprocess.Popen(
            [
                *(harness.BUILD / "bin" / "rtorch-compile", archives[i % 2], "--no-store", "-q"),
                *("-o", tmp_path / f"{i}.rtm", "--kernel-cache", tmp_path / "cache"),
            ]
        )
        for i in range(6)
    ]
    assert [process.wait() for process in processes] == [0] * 6
    assert (tmp_path / "0.rtm").read_bytes() == (tmp_path / "4.rtm").read_bytes()
    assert not list((tmp_path / "cache").glob("*.tmp"))
