"""Recurrent networks and the control flow that export writes, compared with eager."""

from pathlib import Path
from typing import Any

import archives
import capi
import harness
import pytest
import torch
from torch._higher_order_ops import map as map_over
from torch._higher_order_ops import scan, while_loop
from torch.export import Dim

NETWORKS = {
    "lstm": lambda: torch.nn.LSTM(4, 5),
    "lstm_batch_first_2_layers": lambda: torch.nn.LSTM(4, 5, num_layers=2, batch_first=True),
    "lstm_bidirectional": lambda: torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True),
    "lstm_projected": lambda: torch.nn.LSTM(4, 7, proj_size=3, bidirectional=True),
    "lstm_without_bias": lambda: torch.nn.LSTM(4, 5, bias=False),
    "lstm_wide": lambda: torch.nn.LSTM(33, 70, batch_first=True),
    "lstm_dropout_in_eval": lambda: torch.nn.LSTM(4, 5, num_layers=2, dropout=0.5),
    "gru": lambda: torch.nn.GRU(4, 5, batch_first=True),
    "gru_bidirectional": lambda: torch.nn.GRU(4, 20, num_layers=2, bidirectional=True),
    "gru_without_bias": lambda: torch.nn.GRU(4, 5, bias=False),
    "rnn_tanh": lambda: torch.nn.RNN(4, 5, bidirectional=True),
    "rnn_relu": lambda: torch.nn.RNN(4, 5, nonlinearity="relu", num_layers=2),
}
CELLS = {
    "lstm_cell": (lambda: torch.nn.LSTMCell(4, 5), 2),
    "lstm_cell_without_bias": (lambda: torch.nn.LSTMCell(4, 5, bias=False), 2),
    "gru_cell": (lambda: torch.nn.GRUCell(4, 5), 1),
    "rnn_tanh_cell": (lambda: torch.nn.RNNCell(4, 5), 1),
    "rnn_relu_cell": (lambda: torch.nn.RNNCell(4, 5, nonlinearity="relu"), 1),
}
BATCH = Dim("batch", min=1, max=16)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def layouts(shape: tuple[int, ...]) -> list[torch.Tensor]:
    """Tensors of this shape: row-major, with dims in another order, sliced."""
    order = list(reversed(range(len(shape))))
    return [
        torch.randn(shape),
        torch.randn([shape[i] for i in order]).permute(order),
        torch.randn([2 * n for n in shape])[tuple(slice(None, None, 2) for _ in shape)],
    ]


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(tmp_path: Path, name: str, decomposed: bool) -> None:
    network = NETWORKS[name]().eval()
    x = torch.randn(3, 2, network.input_size)
    harness.compile_module(tmp_path, network, (x,), decomposed=decomposed).check(x)


@pytest.mark.parametrize("name", ["lstm_batch_first_2_layers", "gru_bidirectional"])
def test_layouts_of_the_input(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]().eval()
    for i, x in enumerate(layouts((3, 2, 4))):
        folder = tmp_path / str(i)
        folder.mkdir()
        harness.compile_module(folder, network, (x,)).check(x, threads=1 + i)


@pytest.mark.parametrize("name", ["lstm_projected", "lstm", "gru_bidirectional", "rnn_tanh"])
def test_networks_with_a_given_state(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]().eval()
    x = torch.randn(3, 2, 4)
    with torch.no_grad():
        states = network(x)[1]
    state = (
        tuple(torch.randn(s.shape) for s in states)
        if isinstance(states, tuple)
        else torch.randn(states.shape)
    )
    harness.compile_module(tmp_path, network, (x, state)).check(x, state)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", CELLS)
def test_cells(tmp_path: Path, name: str, decomposed: bool) -> None:
    make, count = CELLS[name]
    x, states = torch.randn(3, 4), [torch.randn(3, 5) for _ in range(count)]
    state = tuple(states) if count == 2 else states[0]
    compiled = harness.compile_module(tmp_path, make(), (x, state), decomposed=decomposed)
    compiled.check(x, state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn_tanh"])
def test_other_dtypes(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name]().to(dtype).eval()
    x = torch.randn(3, 2, 4).to(dtype)
    harness.compile_module(tmp_path, network, (x,)).check(x)


@pytest.mark.parametrize("name", ["lstm_batch_first_2_layers", "gru", "rnn_relu"])
def test_dynamic_batch(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]().eval()
    dim = 0 if network.batch_first else 1
    sizes = [5, 5, 4]
    sizes[dim] = 2
    shapes = ({dim: BATCH},)
    x = torch.randn(sizes)
    compiled = harness.compile_module(tmp_path, network, (x,), dynamic_shapes=shapes)
    for batch in (1, 2, 3, 16):
        sizes[dim] = batch
        compiled.check(torch.randn(sizes), threads=2)


def test_unbatched(tmp_path: Path) -> None:
    x = torch.randn(6, 4)
    harness.compile_module(tmp_path, torch.nn.LSTM(4, 5).eval(), (x,)).check(x)


def test_same_bits_for_any_number_of_threads(tmp_path: Path) -> None:
    network = torch.nn.LSTM(40, 130, num_layers=2, bidirectional=True).eval()
    x = torch.randn(9, 7, 40)
    harness.compile_module(tmp_path, network, (x,)).check_bits_of_threads(x)


def test_one_product_and_one_kernel_a_step(tmp_path: Path) -> None:
    """The loop's body is a product with the hidden state, and all of the gates."""
    program = harness.export(torch.nn.LSTM(4, 5).eval(), (torch.randn(3, 2, 4),))
    archive = tmp_path / "lstm.pt2"
    torch.export.save(program, archive)
    harness.succeed("rtorch-compile", archive, "-o", tmp_path / "lstm.mlir", "--emit", "schedule")
    text = (tmp_path / "lstm.mlir").read_text()
    body = text[text.index("rt.loop") : text.index("rt.next")]
    assert body.count("rt.launch") == 2, body
    assert "packed_linear" in body


def test_packed_sequences_are_refused(tmp_path: Path) -> None:
    """PyTorch itself does not trace them today, so an archive is changed to have one."""

    def pack(archive: dict[str, Any]) -> None:
        graph = archive["graph_module"]["graph"]
        node = next(n for n in graph["nodes"] if n["target"] == "torch.ops.aten.gru.input")
        node["target"] = "torch.ops.aten.gru.data"
        named = {argument["name"]: argument for argument in node["inputs"]}
        del named["batch_first"]
        named["data"] = named.pop("input") | {"name": "data"}
        named["batch_sizes"] = named["hx"] | {"name": "batch_sizes"}
        node["inputs"] = list(named.values())

    program = harness.export(torch.nn.GRU(4, 5).eval(), (torch.randn(3, 2, 4),))
    torch.export.save(program, tmp_path / "gru.pt2")
    archives.rewrite_graph(tmp_path / "gru.pt2", tmp_path / "packed.pt2", pack)
    done = harness.command("rtorch-compile", tmp_path / "packed.pt2", "-o", tmp_path / "m.rtm")
    assert done.returncode != 0
    assert "aten.gru.data (packed sequences are not supported; pass padded" in done.stderr


# --- control flow ---------------------------------------------------------------


class Cond(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: self.linear(x) + 1, lambda x: x.sin(), (x,))


class CondOverSizes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.cond(
            x.shape[0] > 4, lambda x: (x + 1, x * 2), lambda x: (x.sin(), x.cos()), (x,)
        )


class CountedWhile(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        i = torch.tensor(0)
        return while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 2 + i), (i, x))


class WhileOverValues(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rounds, y = while_loop(
            lambda i, x: (x.abs().sum() < 100) & (i < 50),
            lambda i, x: (i + 1, self.linear(x) * 2 + x),
            (torch.tensor(0), x),
        )
        return rounds, y + 1


class Scan(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, c: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return scan(lambda c, x: (torch.tanh(self.linear(x) + c), c * 2), c, x)


class ReversedScan(torch.nn.Module):
    def forward(self, c: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def step(c, x):
            return torch.tanh(x.t() + c.t()).t(), c * 2

        return scan(step, c, x, dim=1, reverse=True)


class NestedScan(torch.nn.Module):
    def forward(self, c: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def outer(c, x):
            d, ys = scan(lambda d, z: (d + z, d * z), c, x)
            return d, ys.sum(0)

        return scan(outer, c, x)


class BranchInScan(torch.nn.Module):
    def forward(self, c: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def step(c, x):
            z = torch.cond(c.sum() > x.sum(), lambda c, x: c - x, lambda c, x: c + x, (c, x))
            return z, z * 2

        return scan(step, c, x)


class ScanOfMutated(torch.nn.Module):
    """The loop reads a buffer and a tensor that were written through views."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("b", torch.ones(2, 4))

    def forward(self, c: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.b.add_(1)
        y = c + 1
        y.t().mul_(2)
        transposed = self.b.t()
        last, all_ = scan(lambda c, x: (c * x + transposed.t() + y, c * 2), c, x)
        last.add_(1)
        self.b.add_(last)
        return last, all_


class Map(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return map_over(lambda x, y: torch.softmax(x.sin() + y, 0), x, y)


class RecurrentScan(torch.nn.Module):
    """An LSTM written as a scan, over a length that varies."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.LSTMCell(4, 6)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor):
        def step(state, x):
            h, c = self.cell(x, state)
            return (h, c), h.clone()

        return scan(step, (h, c), x)


def ones(*sizes: int) -> torch.Tensor:
    return torch.ones(sizes)


CONTROL_FLOW = {
    "cond": (Cond, [(ones(2, 4),), (-ones(2, 4),)], None),
    "cond_over_sizes": (
        CondOverSizes,
        [(torch.randn(6, 4),), (torch.randn(3, 4),)],
        ({0: Dim("n", min=2, max=9)},),
    ),
    "while": (CountedWhile, [(torch.randn(2, 4),)], None),
    "while_over_values": (
        WhileOverValues,
        # No round at all; a few; as many as are allowed.
        [(torch.randn(2, 4),), (100 * ones(2, 4),), (1e-3 * torch.randn(2, 4),)],
        None,
    ),
    "scan": (
        Scan,
        [(torch.randn(2, 4), torch.randn(n, 2, 4)) for n in (5, 2, 12)],
        (None, {0: Dim("length", min=2, max=64)}),
    ),
    "reversed_scan": (ReversedScan, [(torch.randn(2, 4), torch.randn(2, 5, 4))], None),
    "nested_scan": (NestedScan, [(torch.randn(4), torch.randn(3, 5, 4))], None),
    "branch_in_scan": (BranchInScan, [(torch.randn(4), torch.randn(9, 4))], None),
    "scan_of_mutated": (ScanOfMutated, [(torch.randn(2, 4), torch.randn(5, 2, 4))], None),
    "map": (Map, [(torch.randn(3, 4), torch.randn(4))], None),
    "recurrent_scan": (
        RecurrentScan,
        [(torch.randn(n, 3, 4), torch.randn(3, 6), torch.randn(3, 6)) for n in (4, 9, 2)],
        ({0: Dim("length", min=2, max=64)}, None, None),
    ),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", CONTROL_FLOW)
def test_control_flow(tmp_path: Path, name: str, decomposed: bool) -> None:
    make, calls, shapes = CONTROL_FLOW[name]
    compiled = harness.compile_module(
        tmp_path, make(), calls[0], dynamic_shapes=shapes, decomposed=decomposed
    )
    for threads in (1, 2):
        for args in calls:
            compiled.check(*args, threads=threads)


def test_an_error_in_a_loop_names_its_node(tmp_path: Path) -> None:
    class Lookups(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(5, 4)

        def forward(self, c: torch.Tensor, ids: torch.Tensor):
            return scan(lambda c, i: (c + self.table(i).sum(0), c * 1), c, ids)

    ids = torch.tensor([[0, 1], [4, 3], [2, 2]])
    compiled = harness.compile_module(tmp_path, Lookups(), (torch.zeros(4), ids))
    compiled.check(torch.zeros(4), ids)
    ids[2, 1] = 7
    with pytest.raises(capi.RtorchError, match=r"index out of range.*'embedding'"):
        compiled(torch.zeros(4), ids)
