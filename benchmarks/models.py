"""The models that are measured, each with the inputs it is measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import convnets
import minilm
import torch
from transformers import BertConfig, BertModel


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


def tokens(batch: int, sequence: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Random ids and a mask without padding, the same at every call."""

    def make() -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(1000, 30000, (batch, sequence), generator=generator)
        return ids, torch.ones_like(ids)

    return make


def bert_base() -> torch.nn.Module:
    torch.manual_seed(0)
    return BertBase().eval()


def images(*sizes: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Random images, the same at every call."""
    return lambda: (torch.randn(sizes, generator=torch.Generator().manual_seed(0)),)


def network(make: Callable[[], torch.nn.Module]) -> Callable[[], torch.nn.Module]:
    return lambda: convnets.randomize(make())


CASES = [
    Case("MiniLM 1x16", minilm.load, tokens(1, 16), dynamic=True),
    Case("MiniLM 1x128", minilm.load, tokens(1, 128), dynamic=True),
    Case("MiniLM 8x64", minilm.load, tokens(8, 64), dynamic=True),
    Case("BERT-base 1x128", bert_base, tokens(1, 128), dynamic=False),
    Case("ResNet-18", network(convnets.resnet18), images(1, 3, 224, 224), dynamic=False),
    Case("ResNet-50", network(convnets.resnet50), images(1, 3, 224, 224), dynamic=False),
    Case("MobileNetV2", network(convnets.MobileNetV2), images(1, 3, 224, 224), dynamic=False),
    Case("U-Net", network(convnets.UNet), images(1, 3, 256, 256), dynamic=False),
    Case("ConvNeXt", network(convnets.ConvNeXt), images(1, 3, 224, 224), dynamic=False),
    Case("LeNet x64", network(convnets.LeNet), images(64, 1, 28, 28), dynamic=False),
]
