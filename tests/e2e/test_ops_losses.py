"""Losses and normalizations against eager PyTorch."""

import harness
import optable
import pytest
import torch
import torch.nn.functional as F

PAIRS = {
    "mse": lambda x, t: F.mse_loss(x, t),
    "mse_none": lambda x, t: F.mse_loss(x, t, reduction="none"),
    "mse_sum": lambda x, t: F.mse_loss(x, t, reduction="sum"),
    "l1": lambda x, t: F.l1_loss(x, t),
    "smooth_l1": lambda x, t: F.smooth_l1_loss(x, t, beta=0.5),
    "smooth_l1_none": lambda x, t: F.smooth_l1_loss(x, t, reduction="none"),
    "smooth_l1_0": lambda x, t: F.smooth_l1_loss(x, t, beta=0.0),
    "huber": lambda x, t: F.huber_loss(x, t, delta=0.7),
    "bce": lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
    "bce_weight": lambda x, t: F.binary_cross_entropy(x.sigmoid(), (t > 0).to(x.dtype), t.abs()),
    "bce_edge": lambda x, t: F.binary_cross_entropy((x > 0).to(x.dtype), (t > 0).to(x.dtype)),
    "bce_logits": lambda x, t: F.binary_cross_entropy_with_logits(x, t.sigmoid()),
    "bce_logits_pos": lambda x, t: F.binary_cross_entropy_with_logits(
        x, t.sigmoid(), weight=t.abs(), pos_weight=x[0].abs() + 1
    ),
    "kl": lambda x, t: F.kl_div(x.log_softmax(1), t.softmax(1), reduction="batchmean"),
    "kl_log": lambda x, t: F.kl_div(x.log_softmax(1), t.log_softmax(1), log_target=True),
    "kl_zero": lambda x, t: F.kl_div(x, (t > 0).to(x.dtype), reduction="sum"),
    "poisson": lambda x, t: F.poisson_nll_loss(x, t.abs()),
    "poisson_full": lambda x, t: F.poisson_nll_loss(x.abs(), t.abs() * 3, False, True),
    "soft_margin": lambda x, t: F.soft_margin_loss(x, t.sign()),
    "hinge": lambda x, t: F.hinge_embedding_loss(x, t.sign()),
    "ranking": lambda x, t: F.margin_ranking_loss(x, t, (x * t).sign(), 0.3),
    "cosine": lambda x, t: F.cosine_embedding_loss(x, t, x[:, 0].sign(), 0.1),
    "triplet": lambda x, t: F.triplet_margin_loss(x, t, x.flip(0)),
    "triplet_swap": lambda x, t: F.triplet_margin_loss(x, t, x.flip(0), swap=True, p=1.0),
    "similarity": lambda x, t: F.cosine_similarity(x, t),
    "pairwise": lambda x, t: F.pairwise_distance(x, t),
    "pairwise_1": lambda x, t: F.pairwise_distance(x, t, p=1.0, keepdim=True),
    "normalize": lambda x, t: F.normalize(x, dim=1),
}
CLASSES = {
    "ce": lambda x, t, w: F.cross_entropy(x, t),
    "ce_none": lambda x, t, w: F.cross_entropy(x, t, reduction="none"),
    "ce_sum": lambda x, t, w: F.cross_entropy(x, t, reduction="sum"),
    "ce_weight": lambda x, t, w: F.cross_entropy(x, t, w),
    "ce_ignore": lambda x, t, w: F.cross_entropy(x, t, ignore_index=1),
    "ce_smooth": lambda x, t, w: F.cross_entropy(x, t, label_smoothing=0.1),
    "ce_smooth_weight": lambda x, t, w: F.cross_entropy(
        x, t, w, ignore_index=2, label_smoothing=0.2
    ),
    "ce_mixture": lambda x, t, w: F.cross_entropy(x, x.flip(0).softmax(1)),
    "ce_mixture_weight": lambda x, t, w: F.cross_entropy(
        x, x.flip(0).softmax(1), w, label_smoothing=0.1
    ),
    "nll": lambda x, t, w: F.nll_loss(x.log_softmax(1), t),
    "nll_none": lambda x, t, w: F.nll_loss(x.log_softmax(1), t, w, reduction="none"),
    "nll_ignore": lambda x, t, w: F.nll_loss(x.log_softmax(1), t, w, ignore_index=0),
    "all_ignored": lambda x, t, w: F.cross_entropy(x, t * 0 - 100),
    "all_ignored_sum": lambda x, t, w: F.cross_entropy(x, t * 0 - 100, reduction="sum"),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pairs(tmp_path, dtype, decomposed):
    x, t = torch.randn(4, 9, dtype=dtype), torch.randn(4, 9, dtype=dtype)
    optable.check_rows(tmp_path, PAIRS, (x, t), decomposed=decomposed)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("shape", [[4, 5], [2, 5, 3], [2, 5, 3, 4]], ids=str)
def test_classes(tmp_path, shape, decomposed):
    x, w = torch.randn(shape), torch.rand(5)
    t = torch.randint(0, 5, [shape[0], *shape[2:]])
    optable.check_rows(tmp_path, CLASSES, (x, t, w), decomposed=decomposed)


def test_classes_of_one(tmp_path):
    names = ("ce", "ce_none", "ce_weight")
    rows = {name: CLASSES[name] for name in names}
    optable.check_rows(tmp_path, rows, (torch.randn(5), torch.tensor(3), torch.rand(5)))


def module(*layers: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(1)
    net = torch.nn.Sequential(*layers)
    for name, buffer in net.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (torch.nn.BatchNorm1d(6), [5, 6]),
        (torch.nn.BatchNorm1d(6), [5, 6, 3]),
        (torch.nn.BatchNorm2d(6), [5, 6, 3, 2]),
        (torch.nn.BatchNorm2d(6, affine=False, momentum=0.3), [5, 6, 3, 2]),
        (torch.nn.BatchNorm2d(6, track_running_stats=False), [5, 6, 3, 2]),
        (torch.nn.BatchNorm3d(6), [2, 6, 3, 2, 4]),
    ],
    ids=["1d", "1d_lines", "2d", "plain", "untracked", "3d"],
)
def test_batch_norm_in_training(tmp_path, layer, shape):
    """Buffers move, and the second call sees what the first one left."""
    net = module(layer).train()
    for decomposed in (False, True):
        compiled = harness.compile_module(
            tmp_path, net, (torch.randn(shape),), decomposed=decomposed
        )
        compiled.check(torch.randn(shape))
        compiled.check(torch.randn(shape) * 2 + 1)


@pytest.mark.parametrize("train", [False, True])
def test_norms(tmp_path, train):
    layers = {
        "instance_1d": (torch.nn.InstanceNorm1d(6), [2, 6, 5]),
        "instance_2d": (torch.nn.InstanceNorm2d(6, affine=True), [2, 6, 5, 3]),
        "group": (torch.nn.GroupNorm(3, 6), [2, 6, 5, 3]),
        "local": (torch.nn.LocalResponseNorm(3), [2, 6, 5, 3]),
        "layer": (torch.nn.LayerNorm([5, 3]), [2, 6, 5, 3]),
        "rms": (torch.nn.RMSNorm(3), [2, 6, 5, 3]),
    }
    for name, (layer, shape) in layers.items():
        folder = tmp_path / name
        folder.mkdir()
        harness.check_module(folder, module(layer).train(train), (torch.randn(shape),))


def test_norms_of_channels_last(tmp_path):
    x = torch.randn(2, 6, 5, 3).contiguous(memory_format=torch.channels_last)
    rows = {
        "group": lambda x: F.group_norm(x, 2),
        "instance": lambda x: F.instance_norm(x),
        "batch": lambda x: F.batch_norm(x, None, None, training=True),
        "saved": lambda x: torch.ops.aten.native_group_norm(x, None, None, 2, 6, 15, 2, 1e-5)[1:],
    }
    optable.check_rows(tmp_path, rows, (x,))
