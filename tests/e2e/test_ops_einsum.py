"""torch.einsum: values, and strides that follow from how PyTorch contracts."""

import harness
import pytest
import torch

EQUATIONS = {
    "ij,jk->ik": ((3, 4), (4, 5)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "ibnd,jbnd->bnij": ((5, 2, 3, 4), (6, 2, 3, 4)),
    "bnij,jbnd->ibnd": ((2, 3, 5, 6), (6, 2, 3, 4)),
    "ijk,jil->kl": ((3, 4, 5), (4, 3, 6)),
    "bhwc,hkc->bhwk": ((2, 3, 4, 5), (3, 6, 5)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    "i,ij,j": ((3,), (3, 4), (4,)),
    "i,i": ((5,), (5,)),
    "i,j->ij": ((3,), (4,)),
    "bi,bj->bij": ((2, 3), (2, 4)),
    "ij,ij->i": ((3, 4), (3, 4)),
    "a,b->": ((3,), (4,)),
    "ab,cb->ac": ((3, 1), (4, 1)),
    "ii->i": ((4, 4),),
    "ii": ((4, 4),),
    "iij->j": ((3, 3, 4),),
    "ij->ji": ((3, 4),),
    "ij->": ((3, 4),),
    "ba": ((3, 4),),
    "...ij,...jk->...ik": ((2, 3, 4, 5), (3, 5, 2)),
    "b...c,cd->b...d": ((2, 3, 4, 5), (5, 6)),
    "...,...": ((2, 3), (2, 3)),
    "...i->...": ((2, 3, 4),),
    "ij , jk": ((3, 4), (4, 5)),
}


class Einsums(torch.nn.Module):
    def forward(self, operands):
        return [torch.einsum(eq, *x) for eq, x in zip(EQUATIONS, operands, strict=True)]


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_equations(tmp_path, decomposed):
    torch.manual_seed(0)
    operands = [[torch.randn(s) for s in sizes] for sizes in EQUATIONS.values()]
    compiled = harness.compile_module(tmp_path, Einsums(), (operands,), decomposed=decomposed)
    compiled.check(operands)


def test_integers(tmp_path):
    operands = [[torch.randint(-9, 9, s) for s in sizes] for sizes in EQUATIONS.values()]
    harness.compile_module(tmp_path, Einsums(), (operands,)).check(operands)


class Transposed(torch.nn.Module):
    def forward(self, x):
        return torch.einsum("ij->ji", x)


def test_program_without_kernels(tmp_path):
    x = torch.randn(3, 4)
    compiled = harness.compile_module(tmp_path, Transposed(), (x,))
    compiled.check(x)
    assert compiled.report["launches"] == 0
