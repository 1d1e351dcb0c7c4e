// Masks are computed from counted rows and columns: each of their ops is followed back
// to a linear function of query and key.
#include "dialects/rt/transforms/CausalMask.h"

#include "dialects/rt/transforms/Patterns.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;

namespace rtorch::rt {
namespace {

/// row * query + col * key + offset
struct Affine {
  int64_t row = 0, col = 0;
  Expr offset = 0;

  Affine operator+(const Affine &other) const {
    return {row + other.row, col + other.col, offset + other.offset};
  }
  Affine operator*(int64_t factor) const {
    return {row * factor, col * factor, offset * Expr(factor)};
  }
  Affine operator-(const Affine &other) const { return *this + other * -1; }
  bool operator==(const Affine &) const = default;
};

/// The index into each dim of a value; nullopt for one that is not known.
using Index = SmallVector<std::optional<Affine>>;

/// A condition is true where the function is 0 or more. All values are integers.
using Condition = std::optional<Affine>;

Condition negation(const Condition &condition) {
  if (!condition)
    return {};
  return *condition * -1 - Affine{0, 0, 1};
}

std::optional<int64_t> integerOf(Value value) {
  std::optional<double> number = uniformNumber(value);
  if (!number || *number != static_cast<double>(static_cast<int64_t>(*number)))
    return {};
  return static_cast<int64_t>(*number);
}

Dims withoutOnes(TensorType type) {
  Dims sizes;
  for (const Expr &size : type.getSizes())
    if (!size.isConstant(1))
      sizes.push_back(size);
  return sizes;
}

class MaskReader {
public:
  Condition condition(Value value, const Index &index);
  Condition hidden(Value mask, const Index &index);

private:
  std::optional<Affine> number(Value value, const Index &index);
  /// Where a value that is 0 or 1 is 1.
  Condition indicator(Value value, const Index &index);
  Condition compare(Operation *op, const Index &index);
  /// Where a choice of 1 and 0 is 1.
  Condition choice(WhereOp where, const Index &index);
  Condition triangle(Value value, const Index &index);
  std::optional<Index> throughView(Operation *op, const Index &index);
  static Index operandIndex(Value operand, const Index &index);

  bool tooDeep() { return ++steps_ > kMostSteps; }
  static constexpr int kMostSteps = 200;
  int steps_ = 0;
};

/// The index into a view's or copy's source; nullopt where it is not followed.
std::optional<Index> MaskReader::throughView(Operation *op, const Index &index) {
  if (!isa_and_nonnull<ViewOpInterface, CloneOp>(op))
    return {};
  TensorType source = tensorType(op->getOperand(0));
  Index result = index;
  if (isa<CloneOp>(op))
    return result;
  if (isa<ExpandOp>(op)) {
    result.erase(result.begin(), result.end() - source.getRank());
    for (int64_t dim = 0; dim < source.getRank(); ++dim)
      if (source.getSize(dim).isConstant(1))
        result[dim] = Affine();
    return result;
  }
  if (auto unsqueeze = dyn_cast<UnsqueezeOp>(op)) {
    result.erase(result.begin() + unsqueeze.getDim());
    return result;
  }
  if (auto squeeze = dyn_cast<SqueezeOp>(op)) {
    if (source.getRank() - tensorType(squeeze.getResult()).getRank() !=
        static_cast<int64_t>(squeeze.getDims().size()))
      return {};
    SmallVector<int64_t> dims(squeeze.getDims());
    llvm::sort(dims);
    for (int64_t dim : dims)
      result.insert(result.begin() + dim, Affine());
    return result;
  }
  if (auto permute = dyn_cast<PermuteOp>(op)) {
    for (auto [dim, from] : llvm::enumerate(permute.getPermutation()))
      result[from] = index[dim];
    return result;
  }
  if (auto slice = dyn_cast<SliceOp>(op)) {
    std::optional<int64_t> start = slice.getStart().getValue().constant();
    std::optional<Affine> &at = result[slice.getDim()];
    if (!start || *start < 0)
      return {};
    if (at)
      at = *at * static_cast<int64_t>(slice.getStep()) + Affine{0, 0, *start};
    return result;
  }
  if (auto select = dyn_cast<SelectOp>(op)) {
    result.insert(result.begin() + select.getDim(),
                  Affine{0, 0, select.getIndex().getValue()});
    return result;
  }
  // A view that only adds or drops dims of size 1.
  TensorType type = tensorType(op->getResult(0));
  if (!isa<ViewOp>(op) || withoutOnes(source) != withoutOnes(type))
    return {};
  result.assign(source.getRank(), Affine());
  int64_t from = 0;
  for (int64_t dim = 0; dim < source.getRank(); ++dim) {
    if (source.getSize(dim).isConstant(1))
      continue;
    while (type.getSize(from).isConstant(1))
      ++from;
    result[dim] = index[from++];
  }
  return result;
}

/// The index into an operand of a pointwise op, which broadcasts.
Index MaskReader::operandIndex(Value operand, const Index &index) {
  TensorType type = tensorType(operand);
  Index result(index.end() - type.getRank(), index.end());
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (type.getSize(dim).isConstant(1))
      result[dim] = Affine();
  return result;
}

std::optional<Affine> MaskReader::number(Value value, const Index &index) {
  Operation *op = value.getDefiningOp();
  if (!op || tooDeep())
    return {};
  if (std::optional<int64_t> constant = integerOf(value))
    return Affine{0, 0, *constant};
  if (FullOp full = uniformConstant(value))
    if (auto expr = dyn_cast<ExprAttr>(full.getValue()))
      return Affine{0, 0, expr.getValue()};
  if (std::optional<Index> source = throughView(op, index))
    return number(op->getOperand(0), *source);
  auto operand = [&](unsigned i) {
    return number(op->getOperand(i), operandIndex(op->getOperand(i), index));
  };
  if (auto iota = dyn_cast<IotaOp>(op)) {
    auto start = dyn_cast<ExprAttr>(iota.getStart());
    auto step = dyn_cast<ExprAttr>(iota.getStep());
    if (!index[0] || !start || !step || !step.getValue().isConstant())
      return {};
    return *index[0] * *step.getValue().constant() + Affine{0, 0, start.getValue()};
  }
  if (isa<ConvertOp>(op) &&
      !tensorType(op->getOperand(0)).getElementType().isInteger(1))
    return operand(0);
  if (isa<NegOp>(op)) {
    auto x = operand(0);
    return x ? std::optional(*x * -1) : std::nullopt;
  }
  if (isa<AddOp, SubOp>(op)) {
    auto a = operand(0), b = operand(1);
    if (!a || !b)
      return {};
    return isa<AddOp>(op) ? *a + *b : *a - *b;
  }
  return {};
}

Condition MaskReader::compare(Operation *op, const Index &index) {
  auto operand = [&](unsigned i) {
    return number(op->getOperand(i), operandIndex(op->getOperand(i), index));
  };
  std::optional<Affine> a = operand(0), b = operand(1);
  if (!a || !b)
    return {};
  Affine one{0, 0, 1};
  return llvm::TypeSwitch<Operation *, Condition>(op)
      .Case<GeOp>([&](auto) { return *a - *b; })
      .Case<GtOp>([&](auto) { return *a - *b - one; })
      .Case<LeOp>([&](auto) { return *b - *a; })
      .Case<LtOp>([&](auto) { return *b - *a - one; })
      .Default(Condition());
}

/// A parameter that is known to be triangular.
Condition MaskReader::triangle(Value value, const Index &index) {
  auto parameter = value.getDefiningOp<ParameterOp>();
  if (!parameter || parameter.getMutated() || !parameter->hasAttr(kTriangularAttr))
    return {};
  const std::optional<Affine> &row = index[index.size() - 2], &col = index.back();
  return row && col ? Condition(*row - *col) : Condition();
}

Condition MaskReader::choice(WhereOp where, const Index &index) {
  std::optional<int64_t> a = integerOf(where.getA()), b = integerOf(where.getB());
  Condition chosen =
      condition(where.getCondition(), operandIndex(where.getCondition(), index));
  if (a == 1 && b == 0)
    return chosen;
  return a == 0 && b == 1 ? negation(chosen) : Condition();
}

Condition MaskReader::indicator(Value value, const Index &index) {
  Operation *op = value.getDefiningOp();
  if (!op || tooDeep())
    return {};
  if (tensorType(value).getElementType().isInteger(1))
    return condition(value, index);
  if (std::optional<Index> source = throughView(op, index))
    return indicator(op->getOperand(0), *source);
  auto operand = [&](unsigned i) { return operandIndex(op->getOperand(i), index); };
  if (isa<ConvertOp>(op))
    return indicator(op->getOperand(0), operand(0));
  if (auto where = dyn_cast<WhereOp>(op))
    return choice(where, index);
  if (isa<SubOp>(op) && integerOf(op->getOperand(0)) == 1)
    return negation(indicator(op->getOperand(1), operand(1)));
  return triangle(value, index);
}

Condition MaskReader::condition(Value value, const Index &index) {
  Operation *op = value.getDefiningOp();
  if (!op || tooDeep())
    return {};
  if (std::optional<Index> source = throughView(op, index))
    return condition(op->getOperand(0), *source);
  auto operand = [&](unsigned i) { return operandIndex(op->getOperand(i), index); };
  if (isa<LogicalNotOp, BitwiseNotOp>(op))
    return negation(condition(op->getOperand(0), operand(0)));
  if (isa<BitwiseAndOp, BitwiseOrOp>(op)) {
    int64_t neutral = isa<BitwiseAndOp>(op) ? 1 : 0;
    for (unsigned i : {0u, 1u})
      if (integerOf(op->getOperand(i)) == neutral)
        return condition(op->getOperand(1 - i), operand(1 - i));
    Condition a = condition(op->getOperand(0), operand(0)),
              b = condition(op->getOperand(1), operand(1));
    return a && b && *a == *b ? a : Condition();
  }
  if (isa<EqOp, NeOp>(op))
    for (unsigned i : {0u, 1u}) {
      std::optional<int64_t> constant = integerOf(op->getOperand(i));
      if (constant != 0 && constant != 1)
        continue;
      Condition one = indicator(op->getOperand(1 - i), operand(1 - i));
      return (*constant == 1) == isa<EqOp>(op) ? one : negation(one);
    }
  if (isa<GeOp, GtOp, LeOp, LtOp>(op))
    return compare(op, index);
  if (auto where = dyn_cast<WhereOp>(op))
    return choice(where, index);
  if (auto convert = dyn_cast<ConvertOp>(op))
    return indicator(convert.getX(), operand(0));
  return triangle(value, index);
}

/// Where `mask` hides; elsewhere it is 0.
Condition MaskReader::hidden(Value mask, const Index &index) {
  Operation *op = mask.getDefiningOp();
  if (!op || tooDeep())
    return {};
  if (std::optional<Index> source = throughView(op, index))
    return hidden(op->getOperand(0), *source);
  auto operand = [&](unsigned i) { return operandIndex(op->getOperand(i), index); };
  auto hides = [&](Value value) {
    return uniformNumber(value).value_or(0) <= kHidingScore;
  };
  if (isa<ConvertOp>(op))
    return hidden(op->getOperand(0), operand(0));
  if (auto where = dyn_cast<WhereOp>(op)) {
    Condition chosen = condition(where.getCondition(), operand(0));
    if (uniformNumber(where.getA()) == 0.0 && hides(where.getB()))
      return negation(chosen);
    return uniformNumber(where.getB()) == 0.0 && hides(where.getA()) ? chosen
                                                                     : Condition();
  }
  if (!isa<MulOp>(op))
    return {};
  for (unsigned i : {0u, 1u}) {
    Value a = op->getOperand(i), b = op->getOperand(1 - i);
    if (hides(a) && std::isfinite(*uniformNumber(a)))
      return indicator(b, operand(1 - i));
    // What is hidden already, cut to the same part once more.
    Condition kept = hidden(a, operand(i));
    if (kept && indicator(b, operand(1 - i)) == kept)
      return kept;
  }
  return {};
}

/// Query and key in the last two dims of `value`.
Index scoresIndex(Value value) {
  Index index(tensorType(value).getRank());
  if (index.size() < 2)
    return index;
  index[index.size() - 2] = Affine{1, 0, 0};
  index.back() = Affine{0, 1, 0};
  return index;
}

/// A mask of one row or column says the same for all queries or keys.
bool isMatrix(Value value) {
  TensorType type = tensorType(value);
  int64_t rank = type.getRank();
  return rank >= 2 && !type.getSize(rank - 1).isConstant(1) &&
         !type.getSize(rank - 2).isConstant(1);
}

} // namespace

bool isCausal(Value visible) {
  return isMatrix(visible) &&
         MaskReader().condition(visible, scoresIndex(visible)) == Affine{1, -1, 0};
}

bool isAnticausal(Value hidden) {
  return isMatrix(hidden) &&
         MaskReader().condition(hidden, scoresIndex(hidden)) == Affine{-1, 1, -1};
}

bool isCausalSum(Value mask) {
  return isMatrix(mask) &&
         MaskReader().hidden(mask, scoresIndex(mask)) == Affine{-1, 1, -1};
}

} // namespace rtorch::rt
