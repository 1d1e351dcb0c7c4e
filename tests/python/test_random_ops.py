"""Random ops of compiled graphs: seeded by torch's generator, distributed as they should be."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def compiled(function, **options):
    torch._dynamo.reset()
    return torch.compile(function, backend="rtorch", options={"fallback": "error"}, **options)


def numbers_of(function, *args, **options):
    """What the compiled function gives after seed 0: always the same, and then other numbers."""
    native = compiled(function, **options)
    torch.manual_seed(0)
    first = native(*args)
    torch.manual_seed(0)
    again, other = native(*args), native(*args)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    eager = function(*args)
    assert (first.dtype, first.shape, first.stride()) == (eager.dtype, eager.shape, eager.stride())
    return first


ONES = torch.ones(200, 200)
UNIFORM = (0.5, 12**-0.5, 0, 1)
NORMAL = (0, 1, -8, 8)
# function, its argument, mean, standard deviation, bounds
DISTRIBUTIONS = {
    "rand": (lambda x: torch.rand(200, 200) * x, ONES, *UNIFORM),
    "rand_like": (torch.rand_like, ONES, *UNIFORM),
    "rand_half": (torch.rand_like, ONES.half(), *UNIFORM),
    "rand_bfloat16": (torch.rand_like, ONES.bfloat16(), *UNIFORM),
    "rand_double": (torch.rand_like, ONES.double(), *UNIFORM),
    "randn": (lambda x: torch.randn(200, 200) * x, ONES, *NORMAL),
    "randn_like": (torch.randn_like, ONES, *NORMAL),
    "randn_bfloat16": (torch.randn_like, ONES.bfloat16(), *NORMAL),
    "randint": (lambda x: torch.randint(3, 9, (200, 200)) + x, ONES.long(), 6.5, 1.708, 4, 9),
    "randint_like": (lambda x: torch.randint_like(x, 6), ONES.int(), 2.5, 1.708, 0, 5),
    "bernoulli": (torch.bernoulli, ONES * 0.2, 0.2, 0.4, 0, 1),
    "bernoulli_p": (lambda x: torch.bernoulli(x, 0.2), ONES, 0.2, 0.4, 0, 1),
    "normal_": (lambda x: torch.empty_like(x).normal_(2, 3), ONES, 2, 3, -20, 20),
    "normal": (lambda x: torch.normal(x, 2.0), ONES, 1, 2, -15, 15),
    "uniform_": (lambda x: torch.empty_like(x).uniform_(1, 4), ONES, 2.5, 0.866, 1, 4),
    "exponential_": (lambda x: torch.empty_like(x).exponential_(2), ONES, 0.5, 0.5, 0, 20),
    "dropout": (lambda x: F.dropout(x, 0.2), ONES, 1, 0.5, 0, 1.25),
    "dropout_1d": (lambda x: F.dropout1d(x, 0.2), torch.ones(400, 50, 5), 1, 0.5, 0, 1.25),
    "alpha_dropout": (lambda x: F.alpha_dropout(x, 0.2, True), ONES * 0, 0, 1, -3, 3),
    "rrelu": (lambda x: F.rrelu(-x, 0.1, 0.3, True), ONES, -0.2, 0.0577, -0.3, -0.1),
    "multi": (lambda x: torch.rand_like(x) - torch.rand_like(x), ONES, 0, 6**-0.5, -1, 1),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name):
    function, x, mean, deviation, least, greatest = DISTRIBUTIONS[name]
    result = numbers_of(function, x).double()
    assert least <= result.min()
    assert result.max() <= greatest
    if greatest == 1 and least == 0 and name.startswith("rand"):
        assert result.max() < 1
    error = 6 * (deviation or 1) / result.numel() ** 0.5 + 3e-3
    assert abs(result.mean() - mean) < (4 * error if name == "dropout_1d" else error)
    if name != "alpha_dropout":  # zeros in, so less than 1
        assert abs(result.std() - deviation) < 0.02 * max(deviation, 1)


def test_numbers_stay_in_the_memory_of_their_result():
    images = torch.ones(2, 8, 5, 5).to(memory_format=torch.channels_last)
    numbers_of(torch.rand_like, images)
    numbers_of(lambda x: F.dropout(x, 0.4) * 2, images.transpose(0, 1))
    x = torch.ones(40, 30)
    rows = numbers_of(lambda x: torch.rand_like(x), x.t())
    assert len(rows.unique()) > 1100  # no number is given twice


def test_dynamic_sizes():
    torch._dynamo.utils.counters.clear()
    native = compiled(lambda x: F.dropout(x, 0.5) + torch.randn(x.size(0), 1), dynamic=True)
    for n in (5, 9, 2):
        assert native(torch.ones(n, 6)).shape == (n, 6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_the_mask_of_the_forward_pass_is_the_backward_pass_own():
    x = torch.ones(50, 40, requires_grad=True)
    result = compiled(lambda x: F.dropout(x, 0.5))(x)
    result.sum().backward()
    assert torch.equal(x.grad, result.detach())
    assert 0.4 < (x.grad == 0).float().mean() < 0.6


def test_networks_with_dropout_train():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
    head = nn.Linear(32, 2)
    native = compiled(lambda x: head(model(x).mean(1)))
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], 3e-3)
    x = torch.randn(64, 6, 32)
    labels = (x[:, 0, 0] > 0).long()
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(native(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_no_numbers_are_drawn_without_random_ops():
    native = compiled(lambda x: F.dropout(x, 0.5, training=False) + 1)
    torch.manual_seed(0)
    native(torch.ones(3))
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
