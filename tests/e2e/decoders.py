"""Small decoder networks with random weights, as people write them."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class GptBlock(nn.Module):
    """Pre-norm attention and MLP; `mask` is how what comes later is hidden."""

    def __init__(self, width: int, heads: int, length: int, mask: str):
        super().__init__()
        self.heads, self.mask = heads, mask
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        triangle = torch.tril(torch.ones(length, length, dtype=torch.bool))
        self.register_buffer("triangle", triangle[None, None], persistent=False)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        size, queries, keys = q.shape[-1], q.shape[-2], k.shape[-2]
        if self.mask == "sdpa":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = q @ k.transpose(-1, -2)
        if self.mask == "buffer_where":
            visible = self.triangle[:, :, keys - queries : keys, :keys]
            low = torch.finfo(scores.dtype).min
            scores = torch.where(visible, scores / math.sqrt(size), low)
        elif self.mask == "buffer_masked_fill":
            visible = self.triangle[:, :, keys - queries : keys, :keys]
            scores = (scores * size**-0.5).masked_fill(visible == 0, float("-inf"))
        elif self.mask == "triu":
            low = torch.full((queries, keys), float("-inf"))
            scores = scores * size**-0.5 + torch.triu(low, diagonal=1 + keys - queries)
        elif self.mask == "arange":
            row = torch.arange(queries)[:, None] + (keys - queries)
            scores = torch.where(row >= torch.arange(keys), scores * size**-0.5, -1e9)
        return torch.softmax(scores.float(), -1).to(q.dtype) @ v

    def forward(self, x: torch.Tensor, past: tuple[torch.Tensor, ...] = ()):
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, -1)
        q, k, v = (
            y.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for y in parts
        )
        if past:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        y = self.attend(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")), k, v


class Gpt(nn.Module):
    """Logits, and with `cached` the keys and values of all layers, old and new."""

    def __init__(
        self,
        mask: str,
        cached: bool = False,
        *,
        layers: int = 2,
        vocabulary: int = 97,
        width: int = 64,
        heads: int = 4,
        length: int = 64,
    ):
        super().__init__()
        self.cached = cached
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(GptBlock(width, heads, length, mask) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor, *past: torch.Tensor):
        start = past[0].shape[2] if past else 0
        x = self.tokens(ids) + self.positions(torch.arange(start, start + ids.shape[1]))
        cache = []
        for i, block in enumerate(self.blocks):
            x, k, v = block(x, past[2 * i : 2 * i + 2])
            cache += [k, v]
        logits = self.head(self.norm(x))
        return (logits, *cache) if self.cached else logits


class RmsNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(x.dtype)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def repeat_heads(x: torch.Tensor, count: int) -> torch.Tensor:
    batch, heads, length, size = x.shape
    x = x[:, :, None].expand(batch, heads, count, length, size)
    return x.reshape(batch, heads * count, length, size)


class LlamaBlock(nn.Module):
    """Rotary positions, grouped heads, RMS norms, a gated MLP."""

    def __init__(self, width: int, heads: int, groups: int, attention: str):
        super().__init__()
        size = width // heads
        self.heads, self.groups, self.attention = heads, groups, attention
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.q, self.out = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(width, groups * size, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, 3 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(3 * width, width, bias=False)

    def attend(self, q, k, v, mask):
        if self.attention == "grouped":
            causal = mask is None
            return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=True)
        count = self.heads // self.groups
        k, v = repeat_heads(k, count), repeat_heads(v, count)
        if self.attention == "sdpa":
            return F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + mask
        return torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype) @ v

    def forward(self, x, cos, sin, mask, past):
        batch, length, width = x.shape
        y = self.norm1(x)
        q, k, v = (
            part(y).view(batch, length, -1, width // self.heads).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        q, k = (part * cos + rotate_half(part) * sin for part in (q, k))
        if past:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        y = self.attend(q, k, v, mask).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(y)
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y)), k, v


class Llama(nn.Module):
    def __init__(
        self,
        attention: str,
        *,
        layers: int = 2,
        vocabulary: int = 97,
        width: int = 64,
        heads: int = 4,
        groups: int = 2,
    ):
        super().__init__()
        self.attention = attention
        self.tokens = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(
            LlamaBlock(width, heads, groups, attention) for _ in range(layers)
        )
        self.norm, self.head = RmsNorm(width), nn.Linear(width, vocabulary, bias=False)
        steps = torch.arange(0, width // heads, 2).float() / (width // heads)
        self.register_buffer("frequencies", 1 / 10000**steps, persistent=False)

    def forward(self, ids: torch.Tensor, *past: torch.Tensor):
        length = ids.shape[1]
        start = past[0].shape[2] if past else 0
        angles = torch.arange(start, start + length)[:, None].float() * self.frequencies[None]
        angles = torch.cat((angles, angles), -1)
        mask = None
        if self.attention == "manual" or past:
            low = torch.full((length, start + length), torch.finfo(torch.float32).min)
            mask = torch.triu(low, diagonal=start + 1)
        x, cache = self.tokens(ids), []
        for i, block in enumerate(self.blocks):
            x, k, v = block(x, angles.cos(), angles.sin(), mask, past[2 * i : 2 * i + 2])
            cache += [k, v]
        return (self.head(self.norm(x)), *cache)
