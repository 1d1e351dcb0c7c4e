"""Convolutional networks written out, with random weights: what tests and benchmarks run.

Each has the structure and the sizes of the published network; `width` scales the channels.
"""

import torch
import torch.nn.functional as F
from torch import nn


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and running statistics from `seed`, in eval mode; activations keep their scale."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):
                fan_in = module.weight.numel() // module.weight.shape[1] // 4
            with torch.no_grad():
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.uniform_(0.5, 1, generator=generator)
                module.bias.uniform_(-0.2, 0.2, generator=generator)
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
    return model.eval()


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class BasicBlock(nn.Module):
    growth = 1

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.short = None
        if stride != 1 or inputs != width:
            short = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.short = nn.Sequential(short, nn.BatchNorm2d(width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.short is None else self.short(x)
        return F.relu(y, inplace=True)


class Bottleneck(nn.Module):
    growth = 4

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.short = None
        if stride != 1 or inputs != 4 * width:
            short = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
            self.short = nn.Sequential(short, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.short is None else self.short(x)))


class ResNet(nn.Module):
    def __init__(self, block: type, depths: list[int], width: int = 64, classes: int = 1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages, inputs = [], width
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(block(inputs, width << stage, stride))
                inputs = (width << stage) * block.growth
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.mean(self.stages(x)), 1))


def resnet18(width: int = 64) -> nn.Module:
    return ResNet(BasicBlock, [2, 2, 2, 2], width)


def resnet50(width: int = 64) -> nn.Module:
    return ResNet(Bottleneck, [3, 4, 6, 3], width)


def conv_norm(inputs: int, outputs: int, window: int, stride: int = 1, groups: int = 1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, window, stride, window // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [conv_norm(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            conv_norm(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


class MobileNetV2(nn.Module):
    SETTINGS = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
        (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip

    def __init__(self, width: float = 1.0, classes: int = 1000):
        super().__init__()
        inputs, last = int(32 * width), int(1280 * width)
        layers = [conv_norm(3, inputs, 3, 2)]
        for expansion, channels, count, stride in self.SETTINGS:
            for i in range(count):
                outputs = int(channels * width)
                layers.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        layers.append(conv_norm(inputs, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class DoubleConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs),
            nn.SiLU(),
        )


class UNet(nn.Module):
    """Down by pooling, up by transposed convolution (`learned`) or interpolation."""

    def __init__(self, width: int = 16, depth: int = 3, learned: bool = True):
        super().__init__()
        widths = [width << i for i in range(depth)]
        self.first = DoubleConv(3, width, 4)
        self.down = nn.ModuleList(DoubleConv(a, 2 * a, 4) for a in widths)
        up = []
        for a in widths:
            if learned:
                up.append(nn.ConvTranspose2d(2 * a, a, 2, stride=2))
            else:
                scale = nn.Upsample(scale_factor=2, mode="nearest")
                up.append(nn.Sequential(scale, nn.Conv2d(2 * a, a, 1)))
        self.up = nn.ModuleList(up)
        self.merge = nn.ModuleList(DoubleConv(2 * a, a, 4) for a in widths)
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        x = self.first(x)
        kept = []
        for down in self.down:
            kept.append(x)
            x = down(F.max_pool2d(x, 2))
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            x = merge(torch.cat([kept.pop(), up(x)], dim=1))
        return self.last(x)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.5))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


class ConvNeXt(nn.Module):
    def __init__(self, width: int = 96, depths: tuple[int, ...] = (3, 3, 9, 3)):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 4), LayerNorm2d(width, eps=1e-6)]
        for stage, depth in enumerate(depths):
            layers += [ConvNeXtBlock(width << stage) for _ in range(depth)]
            if stage + 1 < len(depths):
                layers.append(LayerNorm2d(width << stage, eps=1e-6))
                layers.append(nn.Conv2d(width << stage, width << (stage + 1), 2, 2))
        self.features = nn.Sequential(*layers)
        self.norm = LayerNorm2d(width << (len(depths) - 1), eps=1e-6)
        self.head = nn.Linear(width << (len(depths) - 1), 10)

    def forward(self, x):
        x = self.features(x).mean((2, 3), keepdim=True)
        return self.head(self.norm(x).flatten(1))
