#include "runtime/layout/SizeCases.h"

#include <algorithm>

namespace rtorch::layout {

/// With more sizes that may be 1 the cases are not tried one by one.
static constexpr size_t kMaxOpenSizes = 4;

bool isStatic(const Dims &sizes) {
  return std::all_of(sizes.begin(), sizes.end(),
                     [](const Expr &size) { return size.isConstant(); });
}

bool isProvenRowMajor(const Layout &x, const Guards &guards) {
  Dims expected = contiguousStrides(x.sizes);
  for (size_t i = 0; i < x.rank(); ++i)
    if (guards.query(Relation::Eq, x.strides[i], expected[i]) != Answer::Proven)
      return false;
  return true;
}

Guards assumingNonEmpty(const Guards &guards, const Dims &sizes) {
  Guards result = guards;
  for (const Expr &size : sizes)
    if (result.query(Relation::Lt, 0, size) == Answer::Open)
      result.assume(Relation::Lt, 0, size);
  return result;
}

void adoptGuards(Guards &guards, const Guards &trial) {
  for (size_t i = guards.recorded().size(); i < trial.recorded().size(); ++i)
    guards.record(trial.recorded()[i]);
}

static Dims openSizes(const Dims &sizes, const Guards &guards) {
  Dims open;
  for (const Expr &size : sizes)
    if (guards.query(Relation::Eq, size, 1) == Answer::Open &&
        std::find(open.begin(), open.end(), size) == open.end())
      open.push_back(size);
  return open;
}

/// Assumes which sizes are 1 (bits of `ones`); false if that contradicts itself.
static bool assumeOnes(Guards &guards, const Dims &sizes, unsigned ones) {
  for (size_t i = 0; i < sizes.size(); ++i) {
    Relation relation = ones >> i & 1U ? Relation::Eq : Relation::Ne;
    Answer answer = guards.query(relation, sizes[i], 1);
    if (answer == Answer::Refuted)
      return false;
    if (answer == Answer::Open)
      guards.assume(relation, sizes[i], 1);
  }
  return true;
}

/// Whether both address the same elements, as known without guards.
static bool agree(const Dims &sizes, const Dims &a, const Dims &b,
                  const Guards &guards) {
  for (size_t i = 0; i < sizes.size(); ++i)
    if (guards.query(Relation::Eq, sizes[i], 1) != Answer::Proven &&
        guards.query(Relation::Eq, a[i], b[i]) != Answer::Proven)
      return false;
  return true;
}

/// The strides of the case where no open size is 1, if they serve all other cases.
/// False if not; then nothing is changed.
static bool tryGeneralCase(const Dims &resultSizes, const Dims &open,
                           const Guards &base, Guards &guards, const StrideRule &rule,
                           std::optional<Dims> &result) {
  Guards general = base;
  if (open.size() > kMaxOpenSizes || !assumeOnes(general, open, 0))
    return false;
  result = rule(general);
  for (unsigned ones = 1; ones < 1U << open.size(); ++ones) {
    Guards special = base;
    if (!assumeOnes(special, open, ones))
      continue;
    adoptGuards(special, general); // what the general case asked will hold
    size_t count = special.recorded().size();
    std::optional<Dims> strides = rule(special);
    if (special.recorded().size() != count ||
        strides.has_value() != result.has_value() ||
        (strides && !agree(resultSizes, *strides, *result, special)))
      return false;
  }
  adoptGuards(guards, general);
  return true;
}

std::optional<Dims> stridesForAllSizes(const Dims &resultSizes, const Dims &sizes,
                                       Guards &guards, const StrideRule &rule) {
  if (isStatic(sizes))
    return rule(guards);
  Guards base = assumingNonEmpty(guards, sizes);
  Dims open = openSizes(sizes, base);
  std::optional<Dims> result;
  if (tryGeneralCase(resultSizes, open, base, guards, rule, result))
    return result;
  for (const Expr &size : open)
    base.equal(size, 1);
  result = rule(base);
  adoptGuards(guards, base);
  return result;
}

} // namespace rtorch::layout
