// Product, softmax, product back to rt.attention.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/CausalMask.h"
#include "dialects/rt/transforms/Patterns.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Guards;

namespace rtorch::rt {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

//===----------------------------------------------------------------------===//
// Bounds
//===----------------------------------------------------------------------===//

struct Bounds {
  double low = -kInfinity, high = kInfinity;
  bool isFinite() const { return std::isfinite(low) && std::isfinite(high); }
};

/// What is beyond the largest finite float may have become infinite.
Bounds rounded(double low, double high) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return {low < -kLargest ? -kInfinity : low, high > kLargest ? kInfinity : high};
}

Bounds boundsOf(Value value, int depth = 0);

Bounds boundsOfProduct(Bounds a, Bounds b) {
  if (!a.isFinite() || !b.isFinite())
    return {};
  auto [low, high] =
      std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  return rounded(low, high);
}

Bounds boundsOfConvert(ConvertOp op, int depth) {
  if (tensorType(op.getX()).getElementType().isInteger(1))
    return {0, 1};
  return boundsOf(op.getX(), depth);
}

/// Bounds of the elements as far as the ops around tell; not NaN where finite.
Bounds boundsOf(Value value, int depth) {
  constexpr int kDeepest = 16;
  Operation *op = value.getDefiningOp();
  if (!op || depth++ == kDeepest)
    return {};
  if (std::optional<double> number = uniformNumber(value))
    return std::isnan(*number) ? Bounds{} : Bounds{*number, *number};
  return llvm::TypeSwitch<Operation *, Bounds>(op)
      .Case<ViewOpInterface, CloneOp>(
          [&](auto view) { return boundsOf(view->getOperand(0), depth); })
      .Case([&](WhereOp where) {
        Bounds a = boundsOf(where.getA(), depth), b = boundsOf(where.getB(), depth);
        return Bounds{std::min(a.low, b.low), std::max(a.high, b.high)};
      })
      .Case([&](ConvertOp convert) { return boundsOfConvert(convert, depth); })
      .Case([&](MulOp mul) {
        return boundsOfProduct(boundsOf(mul.getA(), depth),
                               boundsOf(mul.getB(), depth));
      })
      .Case([&](SubOp sub) {
        Bounds a = boundsOf(sub.getA(), depth), b = boundsOf(sub.getB(), depth);
        return a.isFinite() && b.isFinite() ? rounded(a.low - b.high, a.high - b.low)
                                            : Bounds{};
      })
      .Default(Bounds{});
}

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

bool negates(Operation *op) { return isa_and_nonnull<LogicalNotOp, BitwiseNotOp>(op); }

/// Whether `value` is `scores == -inf`.
bool isMaskedOut(Value value, Value scores) {
  auto eq = value.getDefiningOp<EqOp>();
  if (!eq)
    return false;
  return (eq.getA() == scores && uniformNumber(eq.getB()) == -kInfinity) ||
         (eq.getB() == scores && uniformNumber(eq.getA()) == -kInfinity);
}

/// Whether the reduction is over the last dim, which stays.
template <typename Reduction> bool isOverLastDim(Reduction op) {
  int64_t last = tensorType(op.getX()).getRank() - 1;
  return op.getKeepdim() && op.getDims() == ArrayRef<int64_t>(last);
}

/// Whether `condition` holds for rows in which every score is -inf.
bool isWithoutScore(Value condition, Value scores) {
  if (auto all = condition.getDefiningOp<AllOp>())
    return isOverLastDim(all) && isMaskedOut(all.getX(), scores);
  if (!negates(condition.getDefiningOp()))
    return false;
  auto any = condition.getDefiningOp()->getOperand(0).getDefiningOp<AnyOp>();
  if (!any || !isOverLastDim(any) || !negates(any.getX().getDefiningOp()))
    return false;
  return isMaskedOut(any.getX().getDefiningOp()->getOperand(0), scores);
}

/// What hides scores: where `condition` is `hides`, they are `low` instead.
struct Hidden {
  Value condition;
  bool hides;
  double low;
};

/// A step from the product to the scores: numbers are added, or hide scores.
using Mask = std::variant<Value, Hidden>;

/// The parts of an attention that was taken apart.
struct Parts {
  Value query, transposedKey;
  SmallVector<Mask> masks; // the last step first
  double scale = 1;
  /// Rows without any score give 0, not NaN.
  bool safe = false;
};

/// The value before it was widened from half precision: rt.attention computes in
/// float32.
Value beforeWidening(Value value) {
  auto convert = value.getDefiningOp<ConvertOp>();
  if (!convert || !tensorType(value).getElementType().isF32() || !value.hasOneUse())
    return value;
  Type narrow = tensorType(convert.getX()).getElementType();
  return narrow.isF16() || narrow.isBF16() ? convert.getX() : value;
}

bool sameSizes(Value a, Value b) {
  return tensorType(a).getSizes() == tensorType(b).getSizes() &&
         tensorType(a).getElementType() == tensorType(b).getElementType();
}

/// Takes a factor off `value`: from `x * c` and `x / c` it gives x.
Value withoutScale(Value value, double &scale) {
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<MulOp, DivOp>(op))
    return value;
  for (unsigned i : {1u, 0u}) {
    std::optional<double> factor = uniformNumber(op->getOperand(i));
    Value other = op->getOperand(1 - i);
    if (!factor || !std::isfinite(*factor) || *factor == 0 ||
        !sameSizes(other, value) || (i == 0 && isa<DivOp>(op)))
      continue;
    scale = isa<MulOp>(op) ? scale * *factor : scale / *factor;
    return other;
  }
  return value;
}

/// softmax, and around it the rows without a score put to 0. Null if `weights` is
/// something else or also used elsewhere.
SoftmaxOp matchSoftmax(Value weights, Parts &parts) {
  if (!weights.hasOneUse())
    return {};
  if (auto narrowed = weights.getDefiningOp<ConvertOp>();
      narrowed && narrowed.getX().hasOneUse())
    weights = narrowed.getX();
  auto softmax = weights.getDefiningOp<SoftmaxOp>();
  if (auto where = weights.getDefiningOp<WhereOp>()) {
    softmax = where.getB().getDefiningOp<SoftmaxOp>();
    if (!softmax || !softmax->hasOneUse() || uniformNumber(where.getA()) != 0.0 ||
        !isWithoutScore(where.getCondition(), softmax.getX()))
      return {};
    parts.safe = true;
  }
  if (!softmax || static_cast<int64_t>(softmax.getDim()) !=
                      tensorType(softmax.getX()).getRank() - 1)
    return {};
  bool shared = llvm::any_of(softmax.getX().getUsers(), [&](Operation *user) {
    return user != softmax && !(parts.safe && isa<EqOp>(user));
  });
  return shared ? SoftmaxOp() : softmax;
}

/// `query * key^T`, scaled before or after. `shared`: what uses `scores` is known.
bool matchProduct(Value scores, Parts &parts, bool shared = false) {
  double scale = parts.scale;
  Value unscaled = withoutScale(scores, scale);
  auto product = unscaled.getDefiningOp<MatmulOp>();
  if (!product || (!product->hasOneUse() && !(shared && unscaled == scores)))
    return false;
  parts.scale = scale;
  parts.query = withoutScale(product.getLhs(), parts.scale);
  parts.transposedKey = withoutScale(product.getRhs(), parts.scale);
  return true;
}

/// Takes what is added to the scores, or put in their place, off: gives the rest. Null
/// if there is nothing.
Value withoutMask(Value scores, Parts &parts) {
  auto isRest = [&](Value value) {
    return sameSizes(value, scores) && value.hasOneUse() && !uniformConstant(value);
  };
  if (auto where = scores.getDefiningOp<WhereOp>())
    for (bool hides : {false, true}) {
      Value rest = hides ? where.getB() : where.getA();
      Value instead = hides ? where.getA() : where.getB();
      double low = uniformNumber(instead).value_or(0);
      if (low > kHidingScore || !isRest(rest))
        continue;
      parts.masks.push_back(Hidden{where.getCondition(), hides, low});
      return rest;
    }
  auto add = scores.getDefiningOp<AddOp>();
  if (!add)
    return {};
  for (bool swapped : {false, true}) {
    Value rest = swapped ? add.getB() : add.getA(),
          mask = swapped ? add.getA() : add.getB();
    Parts trial;
    bool leadsToProduct =
        isRest(rest) && (matchProduct(rest, trial) || rest.getDefiningOp<AddOp>() ||
                         rest.getDefiningOp<WhereOp>());
    if (!leadsToProduct)
      continue;
    parts.masks.push_back(mask);
    return rest;
  }
  return {};
}

/// The product, with what masks it.
bool matchScores(Value scores, Parts &parts) {
  constexpr int kMostMasks = 8;
  scores = beforeWidening(scores);
  for (int i = 0; i < kMostMasks && scores; ++i) {
    if (matchProduct(scores, parts, /*shared=*/i == 0))
      return true;
    scores = withoutMask(scores, parts);
  }
  return false;
}

/// A mask of 0 and -inf says which scores are hidden.
std::optional<Hidden> asHidden(Value mask) {
  auto where = mask.getDefiningOp<WhereOp>();
  if (!where)
    return {};
  for (bool hides : {false, true}) {
    Value kept = hides ? where.getB() : where.getA();
    Value instead = hides ? where.getA() : where.getB();
    if (uniformNumber(kept) == 0.0 && uniformNumber(instead) == -kInfinity)
      return Hidden{where.getCondition(), hides, -kInfinity};
  }
  return {};
}

/// Whether a step hides later keys, and nothing else.
bool hidesLaterKeys(const Mask &mask) {
  if (const Value *sum = std::get_if<Value>(&mask))
    return isCausalSum(*sum);
  const auto &hidden = std::get<Hidden>(mask);
  return hidden.hides ? isAnticausal(hidden.condition) : isCausal(hidden.condition);
}

double lowOf(const Mask &mask) {
  const auto *hidden = std::get_if<Hidden>(&mask);
  return hidden ? hidden->low : boundsOf(std::get<Value>(mask)).low;
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

bool sameLeadingSizes(Value a, Value b) {
  Dims x = tensorType(a).getSizes(), y = tensorType(b).getSizes();
  return x.size() == y.size() && x.size() >= 2 &&
         std::equal(x.begin(), x.end() - 2, y.begin());
}

/// Makes the operands of rt.attention that hide scores: goes the steps from the product
/// to the scores once more, with 0 in the product's place.
class MaskBuilder {
public:
  MaskBuilder(PatternRewriter &rewriter, Location loc, Type dtype, const Guards &guards)
      : rewriter_(rewriter), loc_(loc), dtype_(dtype), guards_(guards) {}

  /// False if there is no such mask.
  bool build(const Parts &parts) {
    bool onlyCausal = llvm::all_of(parts.masks, hidesLaterKeys);
    // A finite number later puts in the place of -inf says more than -inf does.
    auto last = llvm::find_if(parts.masks, [](const Mask &mask) {
      const auto *hidden = std::get_if<Hidden>(&mask);
      return hidden && std::isfinite(hidden->low);
    });
    for (auto mask = parts.masks.end(); mask != parts.masks.begin();) {
      --mask;
      bool stays = mask < last && !std::isfinite(lowOf(*mask));
      if (hidesLaterKeys(*mask) && (onlyCausal || stays))
        causal_ = true;
      else if (!add(*mask))
        return false;
    }
    if (!failed_ && sum_ && visible_)
      addSum(choice(visible_, number(0), -kInfinity));
    return !failed_;
  }

  Value mask() const { return sum_ ? sum_ : visible_; }
  bool causal() const { return causal_; }
  /// Whether all scores of a row may be -inf.
  bool mayHideRows() const { return mayHideRows_; }

private:
  bool add(const Mask &mask) {
    if (const auto *hidden = std::get_if<Hidden>(&mask)) {
      hide(*hidden);
      return true;
    }
    Value sum = std::get<Value>(mask);
    if (std::optional<Hidden> hidden = asHidden(sum)) {
      hide(*hidden);
      return true;
    }
    mayHideRows_ |= !std::isfinite(boundsOf(sum).low);
    if (tensorType(sum).getElementType() != dtype_)
      return false;
    addSum(sum);
    return true;
  }

  void hide(const Hidden &hidden) {
    Value visible = hidden.condition;
    if (hidden.hides)
      visible = BitwiseNotOp::create(rewriter_, loc_, rowMajor(visible), visible);
    mayHideRows_ |= !std::isfinite(hidden.low);
    if (!std::isfinite(hidden.low)) {
      visible_ = visible_ ? broadcast<BitwiseAndOp>(visible_, visible) : visible;
      return;
    }
    // All scores of a row may be that number, and then have equal weights.
    Value before = sum_ ? sum_ : number(0);
    if (visible_)
      before = choice(visible_, before, -kInfinity);
    visible_ = {};
    sum_ = choice(visible, before, hidden.low);
  }

  void addSum(Value mask) { sum_ = sum_ ? broadcast<AddOp>(sum_, mask) : mask; }

  /// `shown` where `visible`, else `low`.
  Value choice(Value visible, Value shown, double low) {
    std::optional<Dims> sizes = broadcastSizes(visible, shown);
    if (!sizes)
      return shown;
    auto type = TensorType::get(rewriter_.getContext(), *sizes, dtype_);
    return WhereOp::create(rewriter_, loc_, type, visible, shown, number(low));
  }

  Value number(double value) {
    return FullOp::create(rewriter_, loc_,
                          TensorType::get(rewriter_.getContext(), Dims(), dtype_),
                          rewriter_.getFloatAttr(dtype_, value));
  }

  TensorType rowMajor(Value value) const {
    return tensorType(value).withRowMajorLayout();
  }

  std::optional<Dims> broadcastSizes(Value a, Value b) {
    Guards trial = guards_;
    std::optional<Dims> sizes = layout::broadcastSizes(
        std::vector<Dims>{tensorType(a).getSizes(), tensorType(b).getSizes()}, trial);
    if (sizes && trial.recorded().size() == guards_.recorded().size())
      return sizes;
    failed_ = true;
    return {};
  }

  template <typename Op> Value broadcast(Value a, Value b) {
    std::optional<Dims> sizes = broadcastSizes(a, b);
    if (!sizes)
      return a;
    auto type =
        TensorType::get(rewriter_.getContext(), *sizes, tensorType(a).getElementType());
    return Op::create(rewriter_, loc_, type, a, b);
  }

  PatternRewriter &rewriter_;
  Location loc_;
  Type dtype_;
  const Guards &guards_;
  Value sum_, visible_;
  bool causal_ = false, mayHideRows_ = false, failed_ = false;
};

/// `softmax(scale * query * key^T + mask) * value` is `rt.attention`. The result has
/// the query's order of dims, as the fused op of eager PyTorch gives it.
struct MatmulToAttention : OpRewritePattern<MatmulOp> {
  MatmulToAttention(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Parts parts;
    SoftmaxOp softmax = matchSoftmax(op.getLhs(), parts);
    if (!softmax)
      return rewriter.notifyMatchFailure(op, "'lhs' is not a softmax of its own");
    if (!matchScores(softmax.getX(), parts))
      return rewriter.notifyMatchFailure(op,
                                         "the scores are not a product of their own");
    if (!sameLeadingSizes(parts.query, parts.transposedKey) ||
        !sameLeadingSizes(parts.query, op.getRhs()))
      return rewriter.notifyMatchFailure(op, "leading dims are broadcast");
    Type dtype = tensorType(op.getRhs()).getElementType();
    if (tensorType(parts.query).getElementType() != dtype)
      return rewriter.notifyMatchFailure(op, "query and value have different dtypes");
    MaskBuilder masks(rewriter, op.getLoc(), dtype, guards_);
    if (!masks.build(parts))
      return rewriter.notifyMatchFailure(op, "the masks are not of one kind");
    Value key =
        transposeMatrices(rewriter, parts.transposedKey.getLoc(), parts.transposedKey);
    TensorType type = resultType(op, parts.query);
    // Causal masks leave every row its first key.
    bool nanRows = !parts.safe && masks.mayHideRows();
    Value result = AttentionOp::create(
        rewriter, op.getLoc(), type, parts.query, key, op.getRhs(), masks.mask(),
        rewriter.getF64FloatAttr(parts.scale), rewriter.getBoolAttr(masks.causal()),
        rewriter.getBoolAttr(false), nanRows ? rewriter.getUnitAttr() : UnitAttr());
    if (type == op.getType())
      rewriter.replaceOp(op, result);
    else
      rewriter.replaceOpWithNewOp<CloneOp>(op, op.getType(), result);
    return success();
  }

private:
  TensorType resultType(MatmulOp op, Value query) const {
    TensorType result = tensorType(op.getResult()).withRowMajorLayout();
    layout::Layout layout = tensorType(query).getLayout();
    if (layout.sizes != result.getSizes())
      return result;
    Guards trial = guards_;
    layout.strides = layout::preserveStrides(layout, trial);
    layout.offset = 0;
    return trial.recorded().size() == guards_.recorded().size()
               ? withLayout(result, layout)
               : result;
  }

  const Guards &guards_;
};

/// The heads before each of them was repeated: behind a new dim that was expanded and
/// merged with theirs, dim -3. Null if they are none.
Value beforeRepeating(Value value) {
  auto behindClones = [](Value value) {
    while (auto clone = value.getDefiningOp<CloneOp>())
      value = clone.getSource();
    return value;
  };
  auto merge = behindClones(value).getDefiningOp<ViewOp>();
  if (!merge)
    return {};
  auto expand = behindClones(merge.getSource()).getDefiningOp<ExpandOp>();
  if (!expand)
    return {};
  Dims merged = tensorType(value).getSizes(),
       repeated = tensorType(expand.getResult()).getSizes(),
       single = tensorType(expand.getSource()).getSizes();
  int64_t rank = merged.size();
  if (rank < 3 || repeated.size() != merged.size() + 1 ||
      single.size() != repeated.size() || !single[rank - 2].isConstant(1))
    return {};
  // [..., heads, 1, length, size] to [..., heads, count, length, size].
  Dims heads = single;
  heads.erase(heads.begin() + (rank - 2));
  single[rank - 2] = repeated[rank - 2];
  Dims expected = heads;
  expected[rank - 3] = heads[rank - 3] * repeated[rank - 2];
  if (single != repeated || expected != merged)
    return {};
  Operation *insert = expand.getSource().getDefiningOp();
  bool isHeads = isa_and_nonnull<UnsqueezeOp, ViewOp>(insert) &&
                 tensorType(insert->getOperand(0)).getSizes() == heads;
  return isHeads ? insert->getOperand(0) : Value();
}

/// Heads of key and value that were repeated serve several heads of the query.
struct GroupHeads : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    Value key = beforeRepeating(op.getKey()), value = beforeRepeating(op.getValue());
    int64_t rank = tensorType(op.getKey()).getRank();
    if (op.getGrouped() || !key || !value ||
        tensorType(key).getSize(rank - 3) != tensorType(value).getSize(rank - 3))
      return rewriter.notifyMatchFailure(op, "key and value are not repeated alike");
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(key);
      op.getValueMutable().assign(value);
      op.setGrouped(true);
    });
    return success();
  }
};

} // namespace

void populateRaiseAttentionPatterns(RewritePatternSet &patterns, const Guards &guards) {
  patterns.add<MatmulToAttention>(patterns.getContext(), guards);
  patterns.add<GroupHeads>(patterns.getContext());
}

} // namespace rtorch::rt
