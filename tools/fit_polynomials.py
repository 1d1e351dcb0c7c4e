#!/usr/bin/env python3
"""Fits the polynomials of compiler/codegen/math and writes Polynomials.h.

Each polynomial interpolates its function at Chebyshev nodes (within a small factor
of the best possible fit) in 100-digit arithmetic, with the lowest degree whose error,
weighted by what it adds to the final result's relative error, is below a tolerance.

Usage: fit_polynomials.py > compiler/codegen/math/Polynomials.h   (needs mpmath, numpy)
"""

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

mp.dps = 100

Function = Callable[[mpf], mpf]


def interpolate(f: Function, lo: mpf, hi: mpf, degree: int) -> list[mpf]:
    """Coefficients, constant first, of the interpolant at the Chebyshev nodes."""
    mid, half = (lo + hi) / 2, (hi - lo) / 2
    nodes = [mp.cos(mp.pi * (2 * k + 1) / (2 * degree + 2)) for k in range(degree + 1)]
    matrix = mp.matrix(degree + 1, degree + 1)
    for row, node in enumerate(nodes):
        for power in range(degree + 1):
            matrix[row, power] = (mid + half * node) ** power
    values = mp.matrix([f(mid + half * node) for node in nodes])
    return list(mp.lu_solve(matrix, values))


def error(f: Function, weight: Function, coefficients: list[mpf], lo: mpf, hi: mpf) -> mpf:
    """The largest weighted error over 200 points of the interval."""
    points = [lo + (hi - lo) * k / 199 for k in range(200)]
    return max(abs(mp.polyval(coefficients[::-1], x) - f(x)) * weight(x) for x in points)


def fit(f: Function, weight: Function, lo: mpf, hi: mpf, tolerance: mpf):
    for degree in range(2, 40):
        coefficients = interpolate(f, lo, hi, degree)
        worst = error(f, weight, coefficients, lo, hi)
        if worst < tolerance:
            return coefficients, worst
    raise ValueError("no degree below 40 is accurate enough")


def away_from_zero(f: Function) -> Function:
    """f continued to 0, where its formula divides by zero."""
    return lambda x: f(x if abs(x) > mpf(10) ** -20 else mpf(10) ** -20)


def erfcx_scaled(center: int) -> Function:
    """(1 + 2a) erfcx(a) as a function of t = (a - center) / (a + center)."""

    def value(t: mpf) -> mpf:
        a = center * (1 + t) / (1 - t)
        return (1 + 2 * a) * mp.exp(a * a) * mp.erfc(a)

    return value


def root(f: Function) -> Function:
    return away_from_zero(lambda z: f(mp.sqrt(z)))


HALF_LN2 = mp.log(2) / 2 * mpf("1.0001")
QUARTER_PI_SQUARED = (mp.pi / 4 * mpf("1.001")) ** 2
ATANH_LIMIT = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mpf("1.0001")) ** 2
ATAN_LIMIT = (mp.tan(mp.pi / 8) * mpf("1.0001")) ** 2


def t_of(a: float, center: int) -> mpf:
    return (mpf(a) - center) / (mpf(a) + center)


# name: comment, function, weight, low, high
FITS = {
    "expTail": (
        "(e^r - 1 - r) / r^2 for |r| <= ln(2)/2",
        away_from_zero(lambda r: (mp.expm1(r) - r) / r**2),
        lambda r: abs(r) * mpf("1.2"),
        -HALF_LN2,
        HALF_LN2,
    ),
    "logTail": (
        "(2 atanh(s)/s - 2) / z with z = s^2, for s = f/(2 + f), |log2(1 + f)| <= 1/2",
        root(lambda s: (2 * mp.atanh(s) / s - 2) / s**2),
        lambda z: z / 2,
        mpf(0),
        ATANH_LIMIT,
    ),
    "logTail2": (
        "(2 atanh(s)/s - 2 - 2z/3) / z^2, as above",
        root(lambda s: (2 * mp.atanh(s) / s - 2 - 2 * s**2 / 3) / s**4),
        lambda z: z**2 / 2,
        mpf(0),
        ATANH_LIMIT,
    ),
    "sinTail": (
        "(sin(r)/r - 1) / z with z = r^2, for |r| <= pi/4",
        root(lambda r: (mp.sin(r) / r - 1) / r**2),
        lambda z: z * mpf("1.1"),
        mpf(0),
        QUARTER_PI_SQUARED,
    ),
    "cosTail": (
        "(cos(r) - 1 + z/2) / z^2 with z = r^2, for |r| <= pi/4",
        root(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4),
        lambda z: z**2 * mpf("1.42"),
        mpf(0),
        QUARTER_PI_SQUARED,
    ),
    "asinTail": (
        "(asin(s)/s - 1) / z with z = s^2, for |s| <= 1/2",
        root(lambda s: (mp.asin(s) / s - 1) / s**2),
        lambda z: z,
        mpf(0),
        mpf("0.2501"),
    ),
    "atanTail": (
        "(atan(s)/s - 1) / z with z = s^2, for |s| <= tan(pi/8)",
        root(lambda s: (mp.atan(s) / s - 1) / s**2),
        lambda z: z,
        mpf(0),
        ATAN_LIMIT,
    ),
    "erfSmall": (
        "erf(x)/x - 1 as a function of x^2, for |x| <= 1",
        root(lambda x: mp.erf(x) / x - 1),
        lambda z: mpf("1.2"),
        mpf(0),
        mpf(1),
    ),
}

F32_FITS = {
    "erfLarge": (
        "erf(5/2 + u), for |u| <= 3/2",
        lambda u: mp.erf(mpf("2.5") + u),
        lambda u: mpf("1.2"),
        mpf("-1.5"),
        mpf("1.5"),
    ),
    "erfcTail": (
        "(1 + 2a) erfcx(a) as a function of (a - 2)/(a + 2), for 0 <= a <= 10.1",
        erfcx_scaled(2),
        lambda t: mpf(1),
        t_of(0, 2),
        t_of(10.1, 2),
    ),
}

F64_FITS = {
    "erfcTail": (
        "(1 + 2a) erfcx(a) as a function of (a - 4)/(a + 4), for 0 <= a <= 27.3",
        erfcx_scaled(4),
        lambda t: mpf(1),
        t_of(0, 4),
        t_of(27.3, 4),
    ),
}


def emit(name: str, spec, suffix: str, tolerance: mpf, digits: int) -> None:
    comment, f, weight, lo, hi = spec
    coefficients, worst = fit(f, weight, lo, hi, tolerance)
    print(f"\n/// {comment}; error {mp.nstr(worst, 2)}.")
    print(f"inline constexpr double {name}{suffix}[] = {{")
    for c in coefficients:
        value = float(np.float32(float(c))) if suffix == "F32" else float(c)
        print(f"    {value:.{digits}g},")
    print("};")


def main() -> None:
    print(
        "// Written by tools/fit_polynomials.py; do not edit. Coefficients of each\n"
        "// polynomial, constant term first; errors as a share of the result's value.\n"
        "#pragma once\n\nnamespace rtorch::codegen::poly {"
    )
    f32, f64, mid = mpf(2) ** -27, mpf(2) ** -57, mpf(2) ** -40
    for name, spec in {**FITS, **F32_FITS}.items():
        if name != "logTail2":
            emit(name, spec, "F32", f32, 9)
    for name, spec in {**FITS, **F64_FITS}.items():
        # The second-order tail is for powers, whose logarithm needs ten more bits.
        emit(name, spec, "F64", f64 / 256 if name == "logTail2" else f64, 17)
    for name in ("expTail", "logTail"):
        emit(name, FITS[name], "Mid", mid, 17)
    print("\n} // namespace rtorch::codegen::poly")


if __name__ == "__main__":
    main()
