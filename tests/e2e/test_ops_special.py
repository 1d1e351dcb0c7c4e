"""Special functions, bits and signs, powers of integers, and short compositions."""

import itertools

import optable
import pytest
import torch
import torch.nn.functional as F

S = torch.special
SPECIAL = {
    "erfinv": lambda x: (x / 4).erfinv(),
    "erfinv_edge": lambda x: x.sign().erfinv(),
    "lgamma": lambda x: (x * 3).lgamma(),
    "digamma": lambda x: (x * 3).digamma(),
    "digamma_0": lambda x: (x * 0).digamma(),
    "i0": lambda x: (x * 4).i0(),
    "i0e": lambda x: S.i0e(x * 9),
    "i1": lambda x: S.i1(x * 4),
    "i1e": lambda x: S.i1e(x * 9),
    "sinc": lambda x: x.sinc(),
    "sinc_0": lambda x: (x * 0).sinc(),
    "logit": lambda x: x.sigmoid().logit(),
    "logit_eps": lambda x: x.logit(eps=0.2),
    "entr": lambda x: S.entr(x),
    "ndtr": lambda x: S.ndtr(x),
    "ndtri": lambda x: S.ndtri(x.sigmoid()),
    "xlogy": lambda x: torch.xlogy(x, x.flip(0).abs()),
    "xlogy_number": lambda x: torch.xlogy(2.0, x.abs()),
    "xlog1py": lambda x: S.xlog1py(x, x.abs()),
    "mvlgamma": lambda x: (x.abs() + 3).mvlgamma(3),
    "round_2": lambda x: x.round(decimals=2),
    "softshrink": lambda x: F.softshrink(x),
    "hardshrink": lambda x: F.hardshrink(x),
    "tanhshrink": lambda x: F.tanhshrink(x),
    "rrelu": lambda x: F.rrelu(x),
    "deg2rad": lambda x: x.deg2rad(),
    "rad2deg": lambda x: x.rad2deg(),
    "signbit": lambda x: x.signbit(),
    "isposinf": lambda x: (1 / (x * 0)).isposinf(),
    "isneginf": lambda x: (x / 0).isneginf(),
    "hypot": lambda x: x.hypot(x.flip(1)),
    "hypot_0": lambda x: (x * 0).hypot(x * 0),
    "copysign": lambda x: x.copysign(x.flip(0)),
    "copysign_number": lambda x: x.copysign(-0.0),
    "logaddexp": lambda x: x.logaddexp(x.flip(0) * 9),
    "logaddexp2": lambda x: x.logaddexp2(x.flip(0) * 9),
    "fmax": lambda x: x.fmax(x.flip(0)),
    "fmin": lambda x: x.fmin((x / x.round()).flip(0)),
    "heaviside": lambda x: x.round().heaviside(x),
    "ldexp": lambda x: x.ldexp(x.round()),
    "float_power": lambda x: x.abs().float_power(1.5),
    "softmin": lambda x: F.softmin(x, 1),
    "glu": lambda x: F.glu(x, 0),
}
INTEGERS = {
    "pow": lambda x, y: x.pow(y.abs() % 9),
    "pow_negative": lambda x, y: (x % 4 - 2) ** y,
    "pow_scalar": lambda x, y: 3 ** (y.abs() % 7),
    "pow_cube": lambda x, y: x**3,
    "left": lambda x, y: x << (y.abs() % 5),
    "left_far": lambda x, y: x << (y.abs() + 30),
    "right": lambda x, y: x >> (y.abs() % 5),
    "right_far": lambda x, y: x >> (y.abs() + 30),
    "right_number": lambda x, y: x >> 1,
    "gcd": lambda x, y: x.gcd(y),
    "lcm": lambda x, y: (x % 30).lcm(y % 20),
    "floor": lambda x, y: x // (y * 2 + 1),
    "remainder": lambda x, y: x % (y * 2 + 1),
    "fmod": lambda x, y: x.fmod(y * 2 + 1),
    "fmax": lambda x, y: x.fmax(y),
    "count": lambda x, y: (x % 3).count_nonzero(),
    "count_dim": lambda x, y: (x % 3).count_nonzero(dim=1),
    "aminmax": lambda x, y: x.aminmax(),
    "isin": lambda x, y: torch.isin(x, y),
    "isin_inverse": lambda x, y: torch.isin(x, y, invert=True),
    "isclose": lambda x, y: x.isclose(y),
    "trace": lambda x, y: x.trace(),
    "diff": lambda x, y: x.diff(n=2),
    "diff_more": lambda x, y: x.diff(dim=0, prepend=y[:1], append=y[:2]),
}
MATRICES = {
    "cross": lambda x: torch.cross(x[:3], x[3:], dim=0),
    "linalg_cross": lambda x: torch.linalg.cross(x[:, :3], x[:, 1:4]),
    "cdist": lambda x: torch.cdist(x[:4], x[2:]),
    "cdist_1": lambda x: torch.cdist(x[:4], x[2:], p=1.0),
    "cdist_inf": lambda x: torch.cdist(x[None, :4], x[None, 2:], p=float("inf")),
    "pdist": lambda x: F.pdist(x),
    "trace": lambda x: x.trace(),
    "diag": lambda x: x.diag(1),
    "diag_of_line": lambda x: x[0].diag(-2),
    "diag_embed": lambda x: x.diag_embed(),
    "diag_embed_dims": lambda x: x.diag_embed(1, 0, 2),
    "diag_embed_swapped": lambda x: x.diag_embed(1, 2, 0),
    "diagflat": lambda x: x[:2, :2].diagflat(1),
    "block_diag": lambda x: torch.block_diag(x[:2, :3], x[0], x[:1]),
    "tril_indices": lambda x: torch.tril_indices(4, 6, 1),
    "triu_indices": lambda x: torch.triu_indices(5, 3, -1),
    "rot90": lambda x: x.rot90(),
    "kron": lambda x: torch.kron(x[:2], x[:, :3]),
    "addr": lambda x: torch.addr(x[:, :4], x[:, 0], x[0, :4], beta=0.5, alpha=2),
    "addbmm": lambda x: torch.addbmm(x[:, :2], x[None, :, :3], x[None, :3, :2], beta=2),
    "baddbmm": lambda x: torch.baddbmm(
        x[None, :, :2], x[None, :, :3], x[None, :3, :2], beta=0.5, alpha=3
    ),
    "baddbmm_0": lambda x: torch.baddbmm(
        x[None, :, :2] / 0, x[None, :, :3], x[None, :3, :2], beta=0
    ),
    "chain": lambda x: torch.linalg.multi_dot([x, x.T, x]),
    "chain_vectors": lambda x: torch.linalg.multi_dot([x[:, 0], x, x[0]]),
    "power": lambda x: torch.linalg.matrix_power(x[:, :6] / 4, 5),
    "tensordot": lambda x: torch.tensordot(x.view(2, 3, -1), x.view(3, 2, -1), ([0, 2], [1, 2])),
    "inner": lambda x: torch.inner(x, x[:2]),
    "vecdot": lambda x: torch.linalg.vecdot(x, x.flip(0)),
    "norm": lambda x: torch.linalg.norm(x),
    "norm_1": lambda x: torch.linalg.norm(x, 1),
    "norm_fro": lambda x: torch.linalg.norm(x, "fro"),
    "norm_rows": lambda x: torch.linalg.norm(x, dim=1),
    "matrix_norm": lambda x: torch.linalg.matrix_norm(x),
    "matrix_norm_inf": lambda x: torch.linalg.matrix_norm(x, float("inf"), keepdim=True),
    "vector_norm_3": lambda x: torch.linalg.vector_norm(x, 3, dim=0),
    "dist": lambda x: x.dist(x.flip(0)),
    "renormalized": lambda x: F.normalize(x, p=1.0, dim=0),
    "hstack": lambda x: torch.hstack([x, x[:, :1]]),
    "vstack": lambda x: torch.vstack([x, x[0]]),
    "dstack": lambda x: torch.dstack([x, x]),
    "column_stack": lambda x: torch.column_stack([x, x[:, 0]]),
    "tensor_split": lambda x: x.tensor_split(4),
    "tensor_split_at": lambda x: x.tensor_split([2, 3], dim=1),
    "hsplit": lambda x: x.hsplit([3]),
    "atleast_3d": lambda x: torch.atleast_3d(x),
    "meshgrid": lambda x: torch.meshgrid(x[0, :3], x[0, 3:5], indexing="ij"),
    "meshgrid_xy": lambda x: torch.meshgrid(x[0, :3], x[0, 3:5], indexing="xy"),
    "cartesian": lambda x: torch.cartesian_prod(x[0, :3], x[0, 3:5]),
    "broadcast": lambda x: torch.broadcast_tensors(x[:1], x[:, :1]),
    "isclose": lambda x: x.isclose(x + 1e-6),
    "isclose_nan": lambda x: (x / 0 * 0).isclose(x / 0 * 0, equal_nan=True),
    "linspace": lambda x: torch.linspace(-1, 2, 7),
    "linspace_double": lambda x: torch.linspace(0, 1, 10, dtype=torch.float64),
    "linspace_1": lambda x: torch.linspace(3, 5, 1),
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5, dim=0),
    "trapezoid_at": lambda x: torch.trapezoid(x, torch.arange(7.0) ** 2),
    "sum_to": lambda x: x[None].sum_to_size(6, 1),
    "nansum": lambda x: (x / x.round()).nansum(1),
    "nanmean": lambda x: torch.where(x > 0, x, float("nan")).nanmean(0),
    "aminmax": lambda x: x.aminmax(dim=1, keepdim=True),
    "std_mean": lambda x: torch.std_mean(x, 1, correction=0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_special(tmp_path, dtype):
    x = torch.linspace(-3.3, 3.3, 6 * 16, dtype=dtype).reshape(6, 16)
    optable.check_rows(tmp_path, SPECIAL, (x,), (torch.randn(6, 16, dtype=dtype) * 3,))


def test_special_decomposed(tmp_path):
    optable.check_rows(tmp_path, SPECIAL, (torch.randn(6, 16),), decomposed=True)


def test_special_of_infinite(tmp_path):
    names = (
        *("erfinv", "lgamma", "digamma", "i0", "i0e", "i1", "i1e", "entr", "ndtr", "signbit"),
        *("copysign", "logaddexp", "logaddexp2", "fmax", "fmin", "hypot", "xlogy", "softshrink"),
    )
    inf, nan = float("inf"), float("nan")
    pairs = list(itertools.product([inf, -inf, nan, 0.0, -0.0, 1.0, -2.0], repeat=2))
    x = torch.tensor(pairs).T.contiguous()
    optable.check_rows(tmp_path, {name: SPECIAL[name] for name in names}, (x,))


def test_gamma_of_extremes(tmp_path):
    x = torch.tensor([1e-30, 1e-3, 0.5, 1.0, 1.5, 2.0, 33.3, 1e4, 1e30, -0.5, -1.0, -7.25, -100.3])
    rows = {"lgamma": lambda x: x.lgamma(), "digamma": lambda x: x.digamma()}
    optable.check_rows(tmp_path, rows, (x,))
    optable.check_rows(tmp_path, rows, (x.double(),))


def test_nextafter(tmp_path):
    rows = {"next": lambda x: torch.nextafter(x, x.flip(0))}
    inf, nan = float("inf"), float("nan")
    pairs = list(itertools.product([inf, -inf, nan, 0.0, 1.0, -2.0, 1e-45], repeat=2))
    x = torch.tensor(pairs).T.contiguous()
    optable.check_rows(tmp_path, rows, (x,))
    optable.check_rows(tmp_path, rows, (x.double(),))


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8], ids=str
)
def test_integers(tmp_path, dtype):
    low = 0 if dtype == torch.uint8 else -50
    x, y = torch.randint(low, 50, (2, 7, 9)).to(dtype)
    optable.check_rows(tmp_path, INTEGERS, (x, y))


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_matrices(tmp_path, decomposed):
    optable.check_rows(tmp_path, MATRICES, (torch.randn(6, 7),), decomposed=decomposed)


def test_matrices_of_double(tmp_path):
    optable.check_rows(tmp_path, MATRICES, (torch.randn(7, 6).double().T,))
