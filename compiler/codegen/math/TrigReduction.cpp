// Subtracting multiples of pi/2: in three parts where the multiple is small, with the
// bits of 2/pi (Payne and Hanek) where it is not.

#include "compiler/codegen/math/Trigonometry.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

constexpr double twoOverPi = 0x1.45f306dc9c883p-1;
constexpr double piOverTwoF32[] = {0x1.921fb6p+0, -0x1.777a5cp-25, -0x1.ee59dap-50};
constexpr double piOverTwoF64[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                   -0x1.f1976b7ed8fbcp-110};

// Up to here three parts of n pi/2 are exact enough, and n is exact (f32: 17 bits).
constexpr double smallLimitF32 = 1e5, smallLimitF64 = 0x1p40;

/// Cody and Waite: each step is one fused multiply-add, the first one exact.
TrigReduction reduceSmall(V x) {
  Emitter &e = *x.emitter;
  double magic = e.isF64() ? 0x1.8p52 : 0x1.8p23;
  V shifted = fma(x, twoOverPi, magic);
  V n = shifted - magic;
  V r = x;
  for (double part : e.isF64() ? piOverTwoF64 : piOverTwoF32)
    r = fma(n, -part, r);
  return {r, e.bits(shifted)};
}

/// 64-bit integers, one for each lane of an emitter.
class Wide {
public:
  Wide(Emitter &e)
      : e_(e), b_(e.builder()), type_(e.withElement(b_.getIntegerType(64))) {}

  Value constant(uint64_t value) {
    TypedAttr attribute = IntegerAttr::get(b_.getIntegerType(64), APInt(64, value));
    if (auto vector = dyn_cast<VectorType>(type_))
      attribute = DenseElementsAttr::get(vector, cast<Attribute>(attribute));
    return arith::ConstantOp::create(b_, e_.loc(), attribute);
  }
  /// From the emitter's integer type, zero-extended if need be, and back.
  Value extend(V value) {
    if (e_.isF64())
      return value.value;
    return arith::ExtUIOp::create(b_, e_.loc(), type_, value.value);
  }
  V truncate(Value wide) {
    if (e_.isF64())
      return e_.wrap(wide);
    return e_.wrap(arith::TruncIOp::create(b_, e_.loc(), e_.intType(), wide));
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(b_, e_.loc(), a, b); }
  Value sub(Value a, Value b) { return arith::SubIOp::create(b_, e_.loc(), a, b); }
  Value mul(Value a, Value b) { return arith::MulIOp::create(b_, e_.loc(), a, b); }
  /// The upper 64 bits of the product of unsigned numbers.
  Value mulHigh(Value a, Value b) {
    return arith::MulUIExtendedOp::create(b_, e_.loc(), a, b).getHigh();
  }
  Value bitOr(Value a, Value b) { return arith::OrIOp::create(b_, e_.loc(), a, b); }
  Value shl(Value a, Value n) { return arith::ShLIOp::create(b_, e_.loc(), a, n); }
  Value shr(Value a, Value n) { return arith::ShRUIOp::create(b_, e_.loc(), a, n); }
  /// condition ? a : b, where condition is `x predicate y`.
  Value pick(arith::CmpIPredicate predicate, Value x, Value y, Value a, Value b) {
    Value condition = arith::CmpIOp::create(b_, e_.loc(), predicate, x, y);
    return arith::SelectOp::create(b_, e_.loc(), condition, a, b);
  }
  Value toF64(Value a) {
    return arith::SIToFPOp::create(b_, e_.loc(), e_.withElement(b_.getF64Type()), a);
  }
  Value fromF64(Value a) { return arith::FPToSIOp::create(b_, e_.loc(), type_, a); }

private:
  Emitter &e_;
  OpBuilder &b_;
  Type type_;
};

/// 64 zero bits, then the first 1216 bits of 2/pi.
constexpr uint64_t twoOverPiBits[] = {0,
                                      0xa2f9836e4e441529,
                                      0xfc2757d1f534ddc0,
                                      0xdb6295993c439041,
                                      0xfe5163abdebbc561,
                                      0xb7246e3a424dd2e0,
                                      0x06492eea09d1921c,
                                      0xfe1deb1cb129a73e,
                                      0xe88235f52ebb4484,
                                      0xe99c7026b45f7e41,
                                      0x3991d639835339f4,
                                      0x9c845f8bbdf9283b,
                                      0x1ff897ffde05980f,
                                      0xef2f118b5a0a6d1f,
                                      0x6d367ecf27cb09b7,
                                      0x4f463f669e5fea2d,
                                      0x7527bac7ebe5f17b,
                                      0x3d0739f78a5292ea,
                                      0x6bfb5fb11f8d5d08,
                                      0x56033046fc7b6bab};

/// 64 bits of 2/pi for each lane, `offset` words after the word and `shift` bits after
/// the bit where it starts.
class TwoOverPiWindow {
public:
  /// `first` counts bits of twoOverPiBits and is at most 64 * lastWord + 63.
  TwoOverPiWindow(Wide &w, Value first, unsigned lastWord, unsigned words) : w_(w) {
    word_ = w.shr(first, w.constant(6));
    shift_ = w.sub(first, w.shl(word_, w.constant(6)));
    for (unsigned offset = 0; offset <= words; ++offset)
      words_.push_back(select(offset, lastWord));
  }
  Value bits(unsigned offset) {
    // Shifted twice, as a shift by 64 is undefined.
    Value back = w_.sub(w_.constant(63), shift_);
    Value next = w_.shr(w_.shr(words_[offset + 1], w_.constant(1)), back);
    return w_.bitOr(w_.shl(words_[offset], shift_), next);
  }

private:
  Value select(unsigned offset, unsigned lastWord) {
    Value value = w_.constant(twoOverPiBits[offset]);
    for (unsigned k = 1; k <= lastWord; ++k)
      value = w_.pick(arith::CmpIPredicate::eq, word_, w_.constant(k),
                      w_.constant(twoOverPiBits[k + offset]), value);
    return value;
  }

  Wide &w_;
  Value word_, shift_;
  SmallVector<Value> words_;
};

/// A product of M and bits of 2/pi modulo 4: 128 bits in units of 2^-126.
struct Product {
  Value high, low;
};

/// For x = M 2^E with an integer M. Bits of 2/pi that make multiples of 4 in the
/// product are skipped: the first one used weighs 2^(1 - E). Enough follow for the
/// fraction to be exact to the type's precision even where x is as close to a multiple
/// of pi/2 as a number of the type can be (2^-30 for f32, 2^-62 for f64).
Product multiplyByTwoOverPi(Emitter &e, V magnitude) {
  Wide w(e);
  unsigned mantissaBits = e.mantissaBits();
  uint64_t leading = uint64_t(1) << mantissaBits;
  V bits = e.bits(magnitude);
  Value exponent = w.extend(e.shiftRightLogical(bits, mantissaBits));
  Value mantissa = w.extend(
      e.orInt(e.andInt(bits, e.intConstant(leading - 1)), e.intConstant(leading)));
  // E = exponent - bias - mantissaBits; bit E - 1 of 2/pi counted from 1 is bit E + 62
  // of the table counted from 0.
  Value first = w.sub(exponent, w.constant(e.exponentBias() + mantissaBits - 62));
  if (!e.isF64()) {
    // 24 bits by the upper 64 and the next 64: the upper one wraps, as it should.
    TwoOverPiWindow window(w, first, /*lastWord=*/2, /*words=*/2);
    Value high = w.mul(mantissa, window.bits(0));
    return {w.add(high, w.mulHigh(mantissa, window.bits(1))), w.constant(0)};
  }
  TwoOverPiWindow window(w, first, /*lastWord=*/16, /*words=*/3);
  Value middle = window.bits(1);
  Value low = w.mul(mantissa, middle);
  Value carried = w.mulHigh(mantissa, window.bits(2));
  Value sum = w.add(low, carried);
  Value carry =
      w.pick(arith::CmpIPredicate::ult, sum, low, w.constant(1), w.constant(0));
  Value high = w.add(w.mul(mantissa, window.bits(0)), w.mulHigh(mantissa, middle));
  return {w.add(high, carry), sum};
}

/// `fraction` (signed) 2^-126 pi/2 with the precision of f64.
V timesPiOverTwo(Emitter &f64, Wide &w, Product fraction) {
  constexpr double high = piOverTwoF64[0] * 0x1p-62, low = piOverTwoF64[1] * 0x1p-62;
  V leading = f64.wrap(w.toF64(fraction.high));
  // What the conversion rounded off, and half of the lower word, which is unsigned.
  V lost = f64.wrap(w.toF64(w.sub(fraction.high, w.fromF64(leading.value))));
  V rest = f64.wrap(w.toF64(w.shr(fraction.low, w.constant(1))));
  V small = fma(rest, 0x1p-63, lost);
  return fma(leading, high, fma(small, high, leading * low));
}

/// For any finite x of at least 2^9 (f32) or 2^38 (f64) in magnitude.
TrigReduction reduceLarge(V x) {
  Emitter &e = *x.emitter;
  Wide w(e);
  Product product = multiplyByTwoOverPi(e, abs(x));
  Value quadrant =
      w.shr(w.add(product.high, w.constant(uint64_t(1) << 61)), w.constant(62));
  product.high = w.sub(product.high, w.shl(quadrant, w.constant(62)));
  Emitter f64(e.builder(), e.loc(), e.withElement(e.builder().getF64Type()));
  V r = timesPiOverTwo(f64, w, product);
  r.emitter = &e;
  if (!e.isF64())
    r = e.wrap(arith::TruncFOp::create(e.builder(), e.loc(), e.type(), r.value));
  // The argument was made positive: mirror.
  V q = w.truncate(quadrant);
  V negative = x < 0.0;
  V mirrored = e.subInt(e.intConstant(0), q);
  return {select(negative, -r, r), select(negative, mirrored, q)};
}

} // namespace

TrigReduction reduceTrig(V x) {
  Emitter &e = *x.emitter;
  TrigReduction small = reduceSmall(x);
  V large = abs(x) > (e.isF64() ? smallLimitF64 : smallLimitF32);
  auto branch = scf::IfOp::create(
      e.builder(), e.loc(), anyLane(e.builder(), e.loc(), large.value),
      [&](OpBuilder &b, Location loc) {
        TrigReduction exact = reduceLarge(x);
        V r = select(large, exact.r, small.r);
        V quadrant = select(large, exact.quadrant, small.quadrant);
        scf::YieldOp::create(b, loc, ValueRange{r.value, quadrant.value});
      },
      [&](OpBuilder &b, Location loc) {
        scf::YieldOp::create(b, loc, ValueRange{small.r.value, small.quadrant.value});
      });
  // Infinite arguments have no reduced one: NaN.
  V r = select(abs(x) < e.infinity(), e.wrap(branch.getResult(0)), e.nan());
  return {r, e.wrap(branch.getResult(1))};
}

} // namespace rtorch::codegen
