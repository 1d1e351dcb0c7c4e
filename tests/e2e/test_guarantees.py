"""What the runtime promises of every module, measured on networks by tests/guarantees."""

import os
from pathlib import Path

import convnets
import decoders
import harness
import pytest
import torch
from sanitizers import not_sanitized
from torch.export import Dim

BATCH = Dim("batch", min=1, max=64)


class Classifier(torch.nn.Module):
    """A recurrent network over a sequence of any length, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.LSTM(16, 40, num_layers=2, bidirectional=True, batch_first=True)
        self.out = torch.nn.Linear(80, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0].mean(1))


class Running(torch.nn.Module):
    """A buffer that each call changes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x.sum((0, 1)))
        return torch.softmax(x + self.total, -1)


def images(batch: int) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 3, 64, 64),)


def sequences(batch: int) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 9, 16),)


def tokens(batch: int) -> tuple[torch.Tensor]:
    return (torch.randint(0, 97, (batch, 16)),)


# Name: the network, arguments for a batch.
NETWORKS = {
    "resnet": (lambda: convnets.randomize(convnets.resnet18(16)), images),
    "unet": (lambda: convnets.randomize(convnets.UNet(8)), images),
    "lstm": (Classifier, sequences),
    "running": (Running, sequences),
    "gpt": (lambda: decoders.Gpt("sdpa"), tokens),
}


@pytest.fixture(scope="module", params=[*NETWORKS, "minilm"])
def network(request, tmp_path_factory) -> tuple[Path, list[tuple]]:
    """A module with a dynamic batch, and calls of two sizes."""
    if request.param == "minilm":
        compiled = request.getfixturevalue("minilm_module")
        calls = [(ids, torch.ones_like(ids)) for ids in (token_ids(1, 16), token_ids(3, 31))]
        return compiled.path, calls
    make, arguments = NETWORKS[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    compiled = harness.compile_module(
        folder, make().eval(), arguments(3), dynamic_shapes=({0: BATCH},)
    )
    return compiled.path, [arguments(1), arguments(4)]


def token_ids(batch: int, sequence: int) -> torch.Tensor:
    return torch.randint(1000, 30000, (batch, sequence))


def test_runs_with_sizes_seen_before_allocate_nothing(network):
    figures = harness.measure("allocations", *network)
    assert figures["allocations"] == 0
    assert figures["allocations_of_an_instance"] > 0


def test_runs_started_together_agree(network):
    figures = harness.measure("together", *network)
    assert figures["runs"] > 90
    assert figures["different"] == 0


@pytest.fixture(scope="module")
def lstm(tmp_path_factory) -> tuple[Path, list[tuple]]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("lstm")
    compiled = harness.compile_module(folder, Classifier().eval(), sequences(3))
    return compiled.path, [sequences(3)]


def test_idle_workers_sleep(lstm):
    figures = harness.measure("idle", *lstm)
    assert figures["threads"] > 1
    assert figures["idle_cpu_ms"] < 50


@not_sanitized
def test_a_thousand_loads_leave_nothing_behind(lstm):
    figures = harness.measure("reload", *lstm)
    assert figures["more_open_files"] == 0
    assert figures["more_allocations"] < 50
    assert figures["more_resident_kb"] < 1024


def test_no_more_threads_than_the_process_may_use(lstm):
    one = min(os.sched_getaffinity(0))
    figures = harness.measure("pool", *lstm, preexec_fn=lambda: os.sched_setaffinity(0, {one}))
    assert figures["threads"] == 1


@not_sanitized
def test_memory_of_minilm(minilm_module):
    """Resident: the weights that a run reads, the arena, and at most 10 MB."""
    # One token: beside a row of the table the kernel maps as much as it likes.
    ids = torch.full((1, 16), 2000)
    calls = [(ids, torch.ones_like(ids))]
    checked = harness.measure("footprint", minilm_module.path, calls)
    own = checked["resident_kb"] - checked["resident_of_module_kb"]
    assert own <= checked["arena_kb"] + 10 * 1024

    # Without the checksum of all constants only those that the run reads are in memory,
    # so not the tables.
    trusted = harness.measure("footprint", minilm_module.path, calls, env={"TRUST_CONSTANTS": "1"})
    model = minilm_module.eager
    bert = model.bert.embeddings
    tables = sum(
        table.weight.numel() * 4 for table in (bert.word_embeddings, bert.position_embeddings)
    )
    weights = sum(p.numel() * 4 for p in model.parameters()) - tables
    assert trusted["resident_kb"] <= weights / 1024 + trusted["arena_kb"] + 10 * 1024
