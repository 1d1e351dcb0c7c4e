// Sums that grow term by term over the steps of a sequence, as the gradients of a
// recurrent layer's weight and bias do: `a1 @ b1 + a2 @ b2 + ...` is one product of
// joined factors, and needs neither the terms in memory nor a launch for each.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Patterns.h"

using namespace mlir;
using rtorch::layout::Dims;

namespace rtorch::rt {
namespace {

/// Fewer terms are not worth copying their factors together.
constexpr size_t kFewest = 3;
/// Elements that a term may sum up: for more, a launch of its own costs nothing.
constexpr int64_t kMostSummed = 1 << 16;

std::optional<int64_t> constantSize(Value value, int64_t dim) {
  return tensorType(value).getSize(dim).constant();
}

/// Whether the addition adds tensors of its result's sizes.
bool isPlain(AddOp add) {
  return llvm::all_of(add->getOperands(), [&](Value operand) {
    return tensorType(operand).getSizes() == tensorType(add.getResult()).getSizes();
  });
}

/// Whether the addition only makes one term of another.
bool isInner(AddOp add) {
  if (!add->hasOneUse())
    return false;
  auto user = dyn_cast<AddOp>(*add->user_begin());
  return user && isPlain(user);
}

/// What the addition and those inside it add up, from left to right.
SmallVector<Value> termsOf(AddOp root) {
  SmallVector<Value> terms, open = {root.getB(), root.getA()};
  while (!open.empty()) {
    Value value = open.pop_back_val();
    auto add = value.getDefiningOp<AddOp>();
    if (add && add->hasOneUse() && isPlain(add) &&
        add->getBlock() == root->getBlock()) {
      open.push_back(add.getB());
      open.push_back(add.getA());
    } else {
      terms.push_back(value);
    }
  }
  return terms;
}

struct Joiner {
  PatternRewriter &b;
  Location loc;

  Value cat(ArrayRef<Value> parts, int64_t dim) const {
    Dims sizes = tensorType(parts.front()).getSizes();
    for (Value part : parts.drop_front())
      sizes[dim] += tensorType(part).getSize(dim);
    auto type = TensorType::get(b.getContext(), sizes,
                                tensorType(parts.front()).getElementType());
    return CatOp::create(b, loc, type, parts, dim);
  }

  /// [m, k1], [m, k2], ... as [m, k1 + k2 + ...]; transposed if all of them are.
  Value catColumns(ArrayRef<Value> parts) const {
    SmallVector<Value> sources = llvm::map_to_vector(parts, transposedMatrix);
    if (!llvm::all_of(sources, [](Value source) { return !!source; }))
      return cat(parts, 1);
    return transposeMatrices(b, loc, cat(sources, 0));
  }
};

/// A kind of term, of which those that `isTerm` takes become one.
struct Kind {
  /// Whether the value is such a term and goes together with `first`, if there is one.
  bool (*isTerm)(Value value, Value first);
  Value (*join)(const Joiner &joiner, ArrayRef<Value> terms);
};

/// A product of matrices so narrow that writing its result costs more than reading its
/// factors.
bool isNarrowProduct(Value value, Value first) {
  auto product = value.getDefiningOp<MatmulOp>();
  if (!product || !product->hasOneUse() ||
      tensorType(product.getLhs()).getRank() != 2 ||
      tensorType(product.getRhs()).getRank() != 2 ||
      (first && first.getType() != value.getType()))
    return false;
  std::optional<int64_t> m = constantSize(value, 0), n = constantSize(value, 1),
                         k = constantSize(product.getLhs(), 1);
  return m && n && k && *k * (*m + *n) * 2 <= *m * *n;
}

Value joinProducts(const Joiner &joiner, ArrayRef<Value> terms) {
  SmallVector<Value> left, right;
  for (Value term : terms) {
    auto product = term.getDefiningOp<MatmulOp>();
    left.push_back(product.getLhs());
    right.push_back(product.getRhs());
  }
  return MatmulOp::create(joiner.b, joiner.loc, terms.front().getType(),
                          joiner.catColumns(left), joiner.cat(right, 0));
}

/// The sum over the first dim that the value is, maybe with other sizes; null if it is
/// none that only this term needs.
SumOp totalOf(Value value) {
  if (auto view = value.getDefiningOp<ViewOp>();
      view && view->hasOneUse() &&
      view.getSource().getParentBlock() == view->getBlock())
    value = view.getSource();
  auto sum = value.getDefiningOp<SumOp>();
  return sum && sum->hasOneUse() && sum.getDims() == ArrayRef<int64_t>{0} ? sum
                                                                          : SumOp();
}

bool isSmallTotal(Value value, Value first) {
  SumOp sum = totalOf(value);
  if (!sum)
    return false;
  std::optional<int64_t> count =
      layout::numel(tensorType(sum.getX()).getSizes()).constant();
  if (!count || *count > kMostSummed)
    return false;
  if (!first)
    return true;
  SumOp other = totalOf(first);
  return first.getType() == value.getType() && other.getType() == sum.getType() &&
         other.getKeepdim() == sum.getKeepdim() &&
         isa<ViewOp>(first.getDefiningOp()) == isa<ViewOp>(value.getDefiningOp());
}

Value joinTotals(const Joiner &joiner, ArrayRef<Value> terms) {
  SmallVector<Value> summed = llvm::map_to_vector(
      terms, [](Value term) -> Value { return totalOf(term).getX(); });
  SumOp first = totalOf(terms.front());
  Value sum = SumOp::create(joiner.b, joiner.loc, first.getType(),
                            joiner.cat(summed, 0), first.getDims(), first.getKeepdim());
  if (!isa<ViewOp>(terms.front().getDefiningOp()))
    return sum;
  return ViewOp::create(joiner.b, joiner.loc, terms.front().getType(), sum);
}

struct JoinTerms : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp root, PatternRewriter &rewriter) const override {
    if (!isPlain(root) || isInner(root))
      return rewriter.notifyMatchFailure(root, "no sum of terms of its sizes");
    SmallVector<Value> terms = termsOf(root);
    for (Kind kind :
         {Kind{isNarrowProduct, joinProducts}, Kind{isSmallTotal, joinTotals}})
      if (succeeded(join(root, terms, kind, rewriter)))
        return success();
    return rewriter.notifyMatchFailure(root, "too few terms of one kind");
  }

private:
  static LogicalResult join(AddOp root, ArrayRef<Value> terms, const Kind &kind,
                            PatternRewriter &rewriter) {
    SmallVector<Value> alike, others;
    for (Value term : terms) {
      // What a loop's body takes from outside stays outside.
      bool fits = term.getParentBlock() == root->getBlock() &&
                  kind.isTerm(term, alike.empty() ? Value() : alike.front());
      (fits ? alike : others).push_back(term);
    }
    if (alike.size() < kFewest ||
        (others.empty() && alike.front().getType() != root.getType()))
      return failure();
    Value sum = kind.join({rewriter, root.getLoc()}, alike);
    for (Value term : others)
      sum = AddOp::create(rewriter, root.getLoc(), root.getType(), sum, term);
    rewriter.replaceOp(root, sum);
    return success();
  }
};

} // namespace

void populateJoinTermsPatterns(RewritePatternSet &patterns) {
  patterns.add<JoinTerms>(patterns.getContext());
}

} // namespace rtorch::rt
