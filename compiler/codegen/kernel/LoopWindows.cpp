// Windows of a loop kernel that look over the border of what they see: where they do
// not, elements need no test.
#include "compiler/codegen/kernel/LoopKernel.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

namespace {

/// Follows the first and the last place that a reduction reads to the pads below.
class PadWalk {
public:
  PadWalk(Evaluator &values) : values_(values), e_(values.emitter()) {}

  void follow(Value value, const Indices &first, const Indices &last) {
    Operation *op = value.getDefiningOp();
    if (auto pad = dyn_cast_or_null<rt::PadOp>(op))
      return meet(pad, first, last);
    if (auto view = dyn_cast_or_null<rt::ViewOpInterface>(op)) {
      std::optional<Indices> from = values_.mapView(view, first),
                             to = values_.mapView(view, last);
      if (from && to)
        follow(view.getViewSource(), *from, *to);
    } else if (isa_and_nonnull<rt::PointwiseOpInterface, rt::CloneOp>(op)) {
      for (Value operand : op->getOperands()) {
        TensorType type = tensorType(operand);
        follow(operand, values_.broadcastIndices(type, first),
               values_.broadcastIndices(type, last));
      }
    }
  }

  Evaluator::Pads pads;
  Value inside; ///< null: nothing to ask

private:
  void meet(rt::PadOp pad, const Indices &first, const Indices &last) {
    pads.insert(pad);
    TensorType source = tensorType(pad.getSource());
    for (int64_t dim = 0; dim < source.getRank(); ++dim) {
      Expr low = cast<rt::ExprAttr>(pad.getLow()[dim]).getValue();
      if (low.isConstant(0) &&
          source.getSize(dim) == tensorType(pad.getResult()).getSize(dim))
        continue;
      Value start = values_.lower(low), end = values_.lower(low + source.getSize(dim));
      add(arith::CmpIOp::create(e_.b, e_.loc, arith::CmpIPredicate::sge,
                                first[dim].base, start));
      add(e_.less(last[dim].base, end));
    }
  }

  void add(Value condition) {
    inside = inside ? Value(arith::AndIOp::create(e_.b, e_.loc, inside, condition))
                    : condition;
  }

  Evaluator &values_;
  gemm::Emitter &e_;
};

/// Whether `value` is computed from one of `pads` in a way that PadWalk does not see.
bool hidesPads(Value value, const Evaluator::Pads &pads, bool hidden) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (hidden && pads.contains(op))
    return true;
  if (isa<rt::ReductionOpInterface>(op)) // of an earlier stage: known by then
    return false;
  hidden |= !isa<rt::ViewOpInterface, rt::PointwiseOpInterface, rt::CloneOp>(op);
  return llvm::any_of(op->getOperands(),
                      [&](Value operand) { return hidesPads(operand, pads, hidden); });
}

} // namespace

void LoopKernel::findPads() {
  if (!nest_.windows || !stages_.stored.empty())
    return;
  for (rt::PadOp pad : state_.kernel.getBlock().getOps<rt::PadOp>())
    pads_.insert(pad);
  for (ArrayRef<Operation *> stage : stages_.reductions)
    for (Operation *reduction : stage)
      if (hidesPads(reduction->getOperand(0), pads_, false))
        pads_.clear();
}

Value LoopKernel::liesInside(gemm::Emitter &e, ArrayRef<Indices> positions) {
  Indices first = positions.front(), last = positions.back();
  auto size = [&](int64_t dim) { return e.lower(nest_.sizes[dim], state_.symbols); };
  for (int64_t dim : nest_.reduced)
    first[dim] = Index{e.constant(0)},
    last[dim] = Index{e.sub(size(dim), e.constant(1))};
  if (!nest_.lanesReduced() && nest_.laneDim >= 0) {
    Value end = e.sub(size(nest_.laneDim), e.constant(1));
    first[nest_.laneDim].laneStep = 0;
    last[nest_.laneDim] =
        Index{e.min(e.add(last[nest_.laneDim].base, nest_.width - 1), end)};
  }
  Evaluator values(state_, e.b, e.loc, 1, {});
  PadWalk walk(values);
  for (ArrayRef<Operation *> stage : stages_.reductions)
    for (Operation *reduction : stage)
      walk.follow(reduction->getOperand(0), first, last);
  pads_ = walk.pads;
  if (walk.inside)
    return walk.inside;
  return arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true));
}

} // namespace rtorch::codegen
