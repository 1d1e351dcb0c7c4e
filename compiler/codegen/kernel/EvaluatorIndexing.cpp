// What the evaluator finds by indices that are values: indexing, padding,
// concatenation.
#include "compiler/codegen/kernel/Evaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

void Evaluator::raiseIf(Value condition, StringRef message, Location loc) {
  auto number = llvm::find_if(state_.sites, [&](const ErrorSiteInfo &site) {
    return site.loc == loc && site.message == message;
  });
  int64_t site = number - state_.sites.begin() + 1;
  if (number == state_.sites.end())
    state_.sites.push_back({message.str(), loc});
  if (mask_ && width_ > 1) {
    condition = broadcast(condition);
    condition = arith::AndIOp::create(e_.b, e_.loc, condition, mask_);
  }
  if (isa<VectorType>(condition.getType()))
    condition =
        vector::ReductionOp::create(e_.b, e_.loc, vector::CombiningKind::OR, condition);
  e_.branch(condition, [&] {
    Value code = arith::ConstantOp::create(e_.b, e_.loc, e_.b.getI32IntegerAttr(site));
    e_.store(code, state_.error);
  });
}

std::optional<Index> Evaluator::affineAt(Value value, ArrayRef<Index> indices) {
  Operation *op = value.getDefiningOp();
  if (auto iotaOp = dyn_cast_or_null<rt::IotaOp>(op)) {
    auto start = dyn_cast<rt::ExprAttr>(iotaOp.getStart()),
         step = dyn_cast<rt::ExprAttr>(iotaOp.getStep());
    if (!start || !step || !step.getValue().isConstant())
      return std::nullopt;
    return addTo(scale(indices[0], *step.getValue().constant()),
                 lower(start.getValue()));
  }
  if (auto viewOp = dyn_cast_or_null<rt::ViewOpInterface>(op))
    if (std::optional<Indices> mapped = mapView(viewOp, indices))
      return affineAt(viewOp.getViewSource(), *mapped);
  return std::nullopt;
}

namespace {
/// Bounds of the elements of an integer tensor, as far as they are known.
struct Bounds {
  std::optional<Expr> low, high;
};

std::optional<Expr> exprOf(Attribute attribute) {
  if (auto expr = dyn_cast<rt::ExprAttr>(attribute))
    return expr.getValue();
  if (auto integer = dyn_cast<IntegerAttr>(attribute))
    return integer.getValue().getSExtValue();
  return std::nullopt;
}

/// `combine` of both, of the one that is known if one is enough, or nothing.
template <typename Combine>
std::optional<Expr> combined(const std::optional<Expr> &x, const std::optional<Expr> &y,
                             bool oneIsEnough, Combine combine) {
  if (x && y)
    return combine(*x, *y);
  return oneIsEnough ? (x ? x : y) : std::nullopt;
}

Bounds boundsOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto viewOp = dyn_cast_or_null<rt::ViewOpInterface>(op))
    return boundsOf(viewOp.getViewSource());
  if (auto fullOp = dyn_cast_or_null<rt::FullOp>(op)) {
    std::optional<Expr> number = exprOf(fullOp.getValue());
    return {number, number};
  }
  if (auto iotaOp = dyn_cast_or_null<rt::IotaOp>(op)) {
    std::optional<Expr> start = exprOf(iotaOp.getStart()),
                        step = exprOf(iotaOp.getStep());
    if (!start || !step)
      return {};
    Expr last = *start + (tensorType(value).getSize(0) - 1) * *step;
    return {layout::min(*start, last), layout::max(*start, last)};
  }
  if (!isa_and_nonnull<rt::AddOp, rt::MinimumOp, rt::MaximumOp, rt::FloorDivideOp>(op))
    return {};
  Bounds x = boundsOf(op->getOperand(0)), y = boundsOf(op->getOperand(1));
  auto both = [&](bool lowNeedsOne, bool highNeedsOne, auto combine) {
    return Bounds{combined(x.low, y.low, lowNeedsOne, combine),
                  combined(x.high, y.high, highNeedsOne, combine)};
  };
  if (isa<rt::AddOp>(op))
    return both(false, false, [](const Expr &a, const Expr &b) { return a + b; });
  if (isa<rt::MinimumOp>(op))
    return both(false, true,
                [](const Expr &a, const Expr &b) { return layout::min(a, b); });
  if (isa<rt::MaximumOp>(op))
    return both(true, false,
                [](const Expr &a, const Expr &b) { return layout::max(a, b); });
  if (!y.low || y.low != y.high || y.low->constant().value_or(0) <= 0)
    return {};
  return both(false, false,
              [](const Expr &a, const Expr &b) { return layout::floordiv(a, b); });
}
} // namespace

/// Whether all elements of an index are known to lie in [0, size).
static bool isInRange(Value index, const Expr &size) {
  if (!tensorType(index).getElementType().isInteger(64) || !index.getDefiningOp())
    return false;
  Bounds bounds = boundsOf(index);
  if (!bounds.low || !bounds.high)
    return false;
  layout::Guards guards = rt::guardsAround(index.getDefiningOp());
  return guards.query(layout::Relation::Le, 0, *bounds.low) == layout::Answer::Proven &&
         guards.query(layout::Relation::Lt, *bounds.high, size) ==
             layout::Answer::Proven;
}

Index Evaluator::checkedIndex(Value index, const Expr &size, ArrayRef<Index> indices,
                              bool wraps, Location loc) {
  Indices at = broadcastIndices(tensorType(index), indices);
  bool inRange = isInRange(index, size);
  if (inRange)
    if (std::optional<Index> affine = affineAt(index, at))
      return *affine;
  FormulaBuilder f(e_.b, e_.loc);
  Value loaded = f.convert(this->at(index, at), e_.b.getI64Type());
  auto indexOf = [](Value value) {
    return isa<VectorType>(value.getType()) ? Index{{}, 0, value} : Index{value};
  };
  if (inRange)
    return indexOf(loaded);
  Value limit = lower(size), zero = f.like(loaded, 0);
  if (isa<VectorType>(loaded.getType()))
    limit = broadcast(limit);
  if (wraps)
    loaded = f.select(f.compare(FormulaBuilder::Lt, loaded, zero), f.add(loaded, limit),
                      loaded);
  Value bad = f.bitOr(f.compare(FormulaBuilder::Lt, loaded, zero),
                      f.compare(FormulaBuilder::Ge, loaded, limit));
  raiseIf(bad, "index out of range", loc);
  // A bad index reads element 0 instead; the launch fails all the same.
  Value safe = f.select(bad, zero, loaded);
  return indexOf(safe);
}

Value Evaluator::index(rt::IndexOp op, ArrayRef<Index> indices) {
  TensorType source = tensorType(op.getSource()), result = tensorType(op.getResult());
  ArrayRef<int64_t> dims = op.getDims();
  int64_t position = op.getPosition();
  int64_t common = result.getRank() - (source.getRank() - dims.size());
  ArrayRef<Index> shared = indices.slice(position, common);
  Indices rest(indices.take_front(position));
  rest.append(indices.begin() + position + common, indices.end());
  Indices mapped(source.getRank());
  Value notEmpty;
  for (int64_t dim = 0, kept = 0; dim < source.getRank(); ++dim) {
    const auto *found = llvm::find(dims, dim);
    if (found == dims.end()) {
      mapped[dim] = rest[kept++];
      continue;
    }
    Expr size = source.getSize(dim);
    Value index = op.getIndices()[found - dims.begin()];
    mapped[dim] = checkedIndex(index, size, shared, op.getWraps(), op.getLoc());
    if (size.constant().value_or(0) == 0 && !isInRange(index, size)) {
      Value some = e_.less(e_.constant(0), lower(size));
      notEmpty = notEmpty ? FormulaBuilder(e_.b, e_.loc).bitAnd(notEmpty, some) : some;
    }
  }
  if (!notEmpty)
    return at(op.getSource(), mapped);
  return where(notEmpty, registerType(source.getElementType()),
               [&] { return at(op.getSource(), mapped); });
}

Value Evaluator::pad(rt::PadOp op, ArrayRef<Index> indices) {
  TensorType source = tensorType(op.getSource()), result = tensorType(op.getResult());
  FormulaBuilder f(e_.b, e_.loc);
  layout::Guards guards = rt::guardsAround(op);
  Indices mapped(indices);
  Value inside;
  for (int64_t dim = 0; dim < source.getRank(); ++dim) {
    Expr low = cast<rt::ExprAttr>(op.getLow()[dim]).getValue();
    Expr size = source.getSize(dim);
    if (low.isConstant(0) && (size == result.getSize(dim) ||
                              guards.query(layout::Relation::Le, result.getSize(dim),
                                           size) == layout::Answer::Proven))
      continue;
    mapped[dim] = addTo(indices[dim], lower(-low));
    if (insidePads_.contains(op))
      continue;
    Value index = materialize(mapped[dim]), limit = lower(size);
    if (isa<VectorType>(index.getType()))
      limit = broadcast(limit);
    Value fits = f.bitAnd(f.compare(FormulaBuilder::Ge, index, f.like(index, 0)),
                          f.compare(FormulaBuilder::Lt, index, limit));
    if (inside && isa<VectorType>(inside.getType()) != isa<VectorType>(fits.getType()))
      inside = broadcast(inside), fits = broadcast(fits);
    inside = inside ? f.bitAnd(inside, fits) : fits;
  }
  if (!inside)
    return at(op.getSource(), mapped);
  Type element = registerType(source.getElementType());
  Value value = where(inside, element, [&] { return at(op.getSource(), mapped); });
  Value outside = constant(op.getValue(), source.getElementType());
  if (isa<VectorType>(value.getType()))
    inside = broadcast(inside), outside = broadcast(outside);
  return f.select(inside, value, outside);
}

Value Evaluator::where(Value condition, Type elementType, function_ref<Value()> body) {
  if (isa<VectorType>(condition.getType())) {
    Value outer = mask_;
    mask_ = outer ? Value(arith::AndIOp::create(e_.b, e_.loc, outer, condition))
                  : condition;
    Value result = broadcast(body());
    mask_ = outer;
    return arith::SelectOp::create(e_.b, e_.loc, condition, result,
                                   e_.zero(result.getType()));
  }
  auto type = width_ == 1 ? elementType : Type(VectorType::get(width_, elementType));
  auto branch =
      scf::IfOp::create(e_.b, e_.loc, TypeRange{type}, condition, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e_.b);
  e_.b.setInsertionPointToStart(&branch.getThenRegion().front());
  scf::YieldOp::create(e_.b, e_.loc, broadcast(body()));
  e_.b.setInsertionPointToStart(&branch.getElseRegion().front());
  scf::YieldOp::create(e_.b, e_.loc, e_.zero(type));
  return branch.getResult(0);
}

Value Evaluator::cat(rt::CatOp op, ArrayRef<Index> indices) {
  int64_t dim = op.getDim();
  Type element = registerType(tensorType(op.getResult()).getElementType());
  FormulaBuilder f(e_.b, e_.loc);
  Value index = materialize(indices[dim]), result;
  Expr start;
  for (Value input : op.getInputs()) {
    Expr end = start + tensorType(input).getSize(dim);
    auto bound = [&](const Expr &expr) {
      Value value = lower(expr);
      return isa<VectorType>(index.getType()) ? broadcast(value) : value;
    };
    Value inside = f.bitAnd(f.compare(FormulaBuilder::Ge, index, bound(start)),
                            f.compare(FormulaBuilder::Lt, index, bound(end)));
    Indices mapped(indices);
    mapped[dim] = addTo(indices[dim], lower(-start));
    Value piece = broadcast(where(inside, element, [&] { return at(input, mapped); }));
    if (isa<VectorType>(piece.getType()))
      inside = broadcast(inside);
    result = result ? f.select(inside, piece, result) : piece;
    start = end;
  }
  return result;
}

} // namespace rtorch::codegen
