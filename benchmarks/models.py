"""The models that are measured, each with the inputs it is measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import convnets
import decoders
import minilm
import torch
from transformers import BertConfig, BertModel, ViTConfig, ViTModel


@dataclass(frozen=True)
class Case:
    """A model, the inputs of one call, and the dims that stay dynamic when exported."""

    name: str
    load: Callable[[], torch.nn.Module]
    inputs: Callable[[], tuple[torch.Tensor, ...]]
    dynamic: bool

    def export(self, model: torch.nn.Module) -> torch.export.ExportedProgram:
        if self.dynamic:
            return minilm.export(model)
        return torch.export.export(model, self.inputs())


class BertBase(torch.nn.Module):
    """BERT-base with random weights; returns the last hidden state."""

    def __init__(self):
        super().__init__()
        self.bert = BertModel(BertConfig(attn_implementation="sdpa"), add_pooling_layer=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class Vit(torch.nn.Module):
    """ViT-base with random weights, for images of 224 x 224; returns all tokens."""

    def __init__(self):
        super().__init__()
        self.vit = ViTModel(ViTConfig(attn_implementation="sdpa"), add_pooling_layer=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vit(pixel_values=pixels).last_hidden_state


class Recurrent(torch.nn.Module):
    """A classifier of sequences: two layers in both directions, and the last state."""

    def __init__(self, kind: type[torch.nn.Module]):
        super().__init__()
        self.layers = kind(128, 256, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x)[0][:, -1])


def gpt2(cached: bool) -> torch.nn.Module:
    """The sizes of GPT-2 small, with random weights."""
    sizes = {"layers": 12, "vocabulary": 50257, "width": 768, "heads": 12, "length": 1024}
    return decoders.Gpt("triu" if cached else "sdpa", cached, **sizes)


def llama() -> torch.nn.Module:
    return decoders.Llama("sdpa", layers=8, vocabulary=32000, width=512, heads=8, groups=4)


def seeded(make: Callable[[], torch.nn.Module]) -> Callable[[], torch.nn.Module]:
    def load() -> torch.nn.Module:
        torch.manual_seed(0)
        return make().eval()

    return load


def ids(*sizes: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Random token ids, the same at every call."""
    return lambda: (torch.randint(1000, 30000, sizes, generator=torch.Generator().manual_seed(0)),)


def step(past: int) -> tuple[torch.Tensor, ...]:
    """One new token of GPT-2 small and the keys and values of `past` older ones."""
    generator = torch.Generator().manual_seed(0)
    cache = (torch.randn(1, 12, past, 64, generator=generator) for _ in range(24))
    return ids(1, 1)() + tuple(cache)


def tokens(batch: int, sequence: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Random ids and a mask without padding, the same at every call."""

    def make() -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(1000, 30000, (batch, sequence), generator=generator)
        return ids, torch.ones_like(ids)

    return make


def images(*sizes: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Random numbers, the same at every call."""
    return lambda: (torch.randn(sizes, generator=torch.Generator().manual_seed(0)),)


def network(make: Callable[[], torch.nn.Module]) -> Callable[[], torch.nn.Module]:
    return lambda: convnets.randomize(make())


CASES = [
    Case("MiniLM 1x16", minilm.load, tokens(1, 16), dynamic=True),
    Case("MiniLM 1x128", minilm.load, tokens(1, 128), dynamic=True),
    Case("MiniLM 8x64", minilm.load, tokens(8, 64), dynamic=True),
    Case("BERT-base 1x128", seeded(BertBase), tokens(1, 128), dynamic=False),
    Case("GPT-2 small 1x128", seeded(lambda: gpt2(False)), ids(1, 128), dynamic=False),
    Case("GPT-2 small token 256", seeded(lambda: gpt2(True)), lambda: step(255), dynamic=False),
    Case("Llama-style 1x128", seeded(llama), ids(1, 128), dynamic=False),
    Case("ViT-base", seeded(Vit), images(1, 3, 224, 224), dynamic=False),
    Case("LSTM 8x64", seeded(lambda: Recurrent(torch.nn.LSTM)), images(8, 64, 128), dynamic=False),
    Case("GRU 8x64", seeded(lambda: Recurrent(torch.nn.GRU)), images(8, 64, 128), dynamic=False),
    Case("ResNet-18", network(convnets.resnet18), images(1, 3, 224, 224), dynamic=False),
    Case("ResNet-50", network(convnets.resnet50), images(1, 3, 224, 224), dynamic=False),
    Case("MobileNetV2", network(convnets.MobileNetV2), images(1, 3, 224, 224), dynamic=False),
    Case("U-Net", network(convnets.UNet), images(1, 3, 256, 256), dynamic=False),
    Case("ConvNeXt", network(convnets.ConvNeXt), images(1, 3, 224, 224), dynamic=False),
    Case("LeNet x64", network(convnets.LeNet), images(64, 1, 28, 28), dynamic=False),
]
