"""Small networks of each family, with a batch and a loss, to be trained."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


class LeNet(nn.Module):
    """The convolutional network for digits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 16, 5)
        self.head = nn.Sequential(
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.head(x.flatten(1))


class Residual(nn.Module):
    """Two convolutions with batch norms beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    """The first stages of a residual network."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 7, 2, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class Layer(nn.Module):
    """A transformer's layer."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = (batch, length, 3, self.heads, width // self.heads)
        q, k, v = self.qkv(self.norms[0](x)).view(split).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norms[1](x))


class Transformer(nn.Module):
    """Two layers over tokens: as BERT's, or as GPT's if causal."""

    def __init__(self, causal: bool, width: int = 64, words: int = 50) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(32, width)
        self.layers = nn.Sequential(*(Layer(width, 4, causal) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.layers(x))).flatten(0, 1)


class Recurrent(nn.Module):
    """A classifier of sequences."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layers = kind(8, 12, 2, batch_first=True)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x)[0][:, -1])


@dataclass
class Trainee:
    """How a network is made, a batch for it, and its loss."""

    make: Callable[[], nn.Module]
    batch: Callable[[], tuple]
    classes: int

    def loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Cross entropy against classes that take turns."""
        return F.cross_entropy(scores, torch.arange(scores.shape[0]) % self.classes)


TRAINEES = {
    "mlp": Trainee(
        lambda: nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10)),
        lambda: (torch.randn(8, 20),),
        10,
    ),
    "lenet": Trainee(LeNet, lambda: (torch.randn(4, 1, 28, 28),), 10),
    "resnet": Trainee(resnet, lambda: (torch.randn(2, 3, 32, 32),), 10),
    "bert": Trainee(lambda: Transformer(False), lambda: (torch.randint(0, 50, (2, 16)),), 50),
    "gpt": Trainee(lambda: Transformer(True), lambda: (torch.randint(0, 50, (2, 16)),), 50),
    "lstm": Trainee(lambda: Recurrent(nn.LSTM), lambda: (torch.randn(3, 7, 8),), 5),
    "gru": Trainee(lambda: Recurrent(nn.GRU), lambda: (torch.randn(3, 7, 8),), 5),
}
