"""Convolutional networks against eager PyTorch."""

import convnets
import harness
import pytest
import torch
from torch.export import Dim

# Name: the network, smaller than published, and an input.
NETWORKS = {
    "lenet": (convnets.LeNet, (3, 1, 28, 28)),
    "resnet18": (lambda: convnets.resnet18(16), (2, 3, 64, 64)),
    "resnet50": (lambda: convnets.resnet50(8), (1, 3, 64, 64)),
    "mobilenet_v2": (lambda: convnets.MobileNetV2(0.5), (1, 3, 96, 96)),
    "unet": (lambda: convnets.UNet(8), (2, 3, 32, 24)),
    "unet_upsampled": (lambda: convnets.UNet(8, learned=False), (1, 3, 24, 32)),
    "convnext": (lambda: convnets.ConvNeXt(16, (1, 1, 2, 1)), (1, 3, 64, 64)),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(tmp_path, name, decomposed):
    make, sizes = NETWORKS[name]
    model = convnets.randomize(make())
    x = torch.randn(sizes, generator=torch.Generator().manual_seed(1))
    compiled = harness.compile_module(tmp_path, model, (x,), decomposed=decomposed)
    compiled.check(x)
    compiled.check(x * 2 - 1, threads=2)


@pytest.mark.parametrize("name", ["resnet18", "unet"])
def test_channels_last(tmp_path, name):
    make, sizes = NETWORKS[name]
    model = convnets.randomize(make()).to(memory_format=torch.channels_last)
    x = torch.randn(sizes).contiguous(memory_format=torch.channels_last)
    harness.compile_module(tmp_path, model, (x,)).check(x)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_dynamic_networks(tmp_path, name, decomposed):
    make, sizes = NETWORKS[name]
    model = convnets.randomize(make())
    batch, height, width = Dim("n", max=16), Dim("h", min=64, max=512), Dim("w", min=64, max=512)
    compiled = harness.compile_module(
        tmp_path,
        model,
        (torch.randn(2, *sizes[1:]),),
        dynamic_shapes=({0: batch, 2: height, 3: width},),
        decomposed=decomposed,
    )
    for n, h, w in [(2, 64, 64), (1, 65, 97), (3, 80, 96)]:
        compiled.check(torch.randn(n, sizes[1], h, w))
