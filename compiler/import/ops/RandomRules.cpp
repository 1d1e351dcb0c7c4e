// Random numbers: functions of a seed, which is an argument of the program, and of an
// element's number. See docs/design on random numbers.
#include "compiler/import/ops/Rules.h"

#include <numbers>

namespace rtorch::translate {
namespace {

/// The seed of one random op: a number of rank 0.
Value lookupSeed(Call &c) {
  Value seeds = c.tensor("seeds");
  std::optional<Expr> index = c.expr("index");
  return seeds && index ? c.select(seeds, 0, *index) : Value();
}

Value whole(Call &c, int64_t value) {
  return c.full(Scalar::of(value), ScalarType::Long);
}

/// 64 random bits for each element of a tensor of these sizes.
Value randomBits(Call &c, const Dims &sizes, Value seed) {
  Value numbers = c.reshape(c.iota(layout::numel(sizes)), sizes);
  return seed ? c.binary<rt::PhiloxOp>(numbers, c.convert(seed, ScalarType::Long))
              : seed;
}

/// `count` bits of each number, from bit `from` on, as a number from 0 to below
/// 2^count.
Value bitsOf(Call &c, Value x, int64_t from, int64_t count) {
  return c.binary<rt::BitwiseAndOp>(c.binary<rt::ShiftRightOp>(x, whole(c, from)),
                                    whole(c, (int64_t(1) << count) - 1));
}

/// Multiples of 2^-24 from 0 to below 1.
Value uniform(Call &c, Value bits, int64_t from) {
  Value number = c.convert(bitsOf(c, bits, from, 24), ScalarType::Float);
  return c.binary<rt::MulOp>(number, c.number(0x1p-24, ScalarType::Float));
}

/// sqrt(-2 log(1 - u)) cos(2 pi v) for two uniform numbers: normally distributed.
Value normal(Call &c, Value bits) {
  auto number = [&](double value) { return c.number(value, ScalarType::Float); };
  Value rest = c.binary<rt::SubOp>(number(1), uniform(c, bits, 40));
  Value radius =
      c.unary<rt::SqrtOp>(c.binary<rt::MulOp>(c.unary<rt::LogOp>(rest), number(-2)));
  Value angle = c.binary<rt::MulOp>(uniform(c, bits, 8), number(2 * std::numbers::pi));
  return c.binary<rt::MulOp>(radius, c.unary<rt::CosOp>(angle));
}

Value random(Call &c) {
  Value bits = randomBits(c, c.exprs("size"), c.tensor("seed"));
  if (!bits)
    return bits;
  return c.string("mode") == "randn" ? normal(c, bits) : uniform(c, bits, 40);
}

/// low + (31 random bits times high - low) / 2^31, for ranges of up to 2^31 numbers;
/// else the remainder of 62 bits.
Value randomIntegers(Call &c) {
  std::optional<Expr> low = c.expr("low"), high = c.expr("high");
  Value bits = randomBits(c, c.exprs("size"), c.tensor("seed"));
  if (!bits || !low || !high)
    return {};
  Value range = c.full(Scalar::of(*high - *low), ScalarType::Long);
  bool isShort = c.guards.lessEqual(*high - *low, int64_t(1) << 31);
  Value chosen =
      isShort ? c.binary<rt::ShiftRightOp>(
                    c.binary<rt::MulOp>(bitsOf(c, bits, 33, 31), range), whole(c, 31))
              : c.binary<rt::RemainderOp>(bitsOf(c, bits, 2, 62), range);
  return c.binary<rt::AddOp>(chosen, c.full(Scalar::of(*low), ScalarType::Long));
}

} // namespace

void addRandomRules(RuleTable &table) {
  addRule(table, {"prims.inductor_lookup_seed.default"}, lookupSeed);
  addRule(table, {"prims.inductor_random.default"}, random);
  addRule(table, {"prims.inductor_randint.default"}, randomIntegers);
}

} // namespace rtorch::translate
