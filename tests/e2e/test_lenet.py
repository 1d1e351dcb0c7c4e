"""LeNet, trained on real digits, predicts what PyTorch predicts."""

import digits
import harness
import pytest
import torch
from torch.export import Dim


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor]:
    return digits.load()


@pytest.fixture(scope="module")
def model(data) -> digits.LeNet:
    images, labels = data
    return digits.train(images[: -digits.HELD_OUT], labels[: -digits.HELD_OUT])


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_predictions_of_held_out_digits(tmp_path, model, data, decomposed):
    images, labels = (part[-digits.HELD_OUT :] for part in data)
    compiled = harness.compile_module(
        tmp_path,
        model,
        (images[:64],),
        dynamic_shapes=({0: Dim("batch", min=1, max=1024)},),
        decomposed=decomposed,
    )
    (ours,) = compiled(images, threads=2)
    theirs = model(images)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    assert (theirs.argmax(1) == labels).float().mean() > 0.9
    for count in (1, 3, 64):
        compiled.check(images[:count])


def test_channels_last_images(tmp_path, model, data):
    images = data[0][-64:].to(memory_format=torch.channels_last)
    harness.compile_module(tmp_path, model, (images,)).check(images)
