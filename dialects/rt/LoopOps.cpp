#include "dialects/rt/OpVerifiers.h"

using namespace mlir;

namespace rtorch::rt {

static bool sameShape(TensorType a, TensorType b) {
  return a.getSizes() == b.getSizes() && a.getElementType() == b.getElementType();
}

/// The rt.next at the end of `region`; null if there is none.
static NextOp nextOf(Region &region) {
  Block &block = region.front();
  return block.empty() ? NextOp() : dyn_cast<NextOp>(block.back());
}

NextOp LoopOp::getNext() { return cast<NextOp>(getBlock().back()); }

layout::Expr LoopOp::getRoundExpr() { return layout::Expr::symbol(getRound().str()); }

layout::Expr LoopOp::getStackIndex(size_t index) {
  layout::Expr round = getRoundExpr();
  return getReversed()[index] ? getTrips().getValue() - 1 - round : round;
}

static LogicalResult verifyCarried(LoopOp op, NextOp next) {
  for (auto [i, init, argument] :
       llvm::enumerate(op.getInits(), op.getBlock().getArguments())) {
    // loop_c1
    TensorType type = tensorType(init);
    if (argument.getType() != type.withRowMajorLayout())
      return op.emitOpError() << "expects a block argument of type "
                              << type.withRowMajorLayout() << " for carried value " << i
                              << ", but got " << argument.getType();
    // loop_c3
    for (Type other : {next.getOperandTypes()[i], op.getResultTypes()[i]})
      if (!sameShape(cast<TensorType>(other), type))
        return op.emitOpError()
               << "expects carried value " << i << " with the sizes and dtype of "
               << type << ", but got " << other;
  }
  return success();
}

static LogicalResult verifyStacked(LoopOp op, NextOp next) {
  // loop_c4
  size_t carried = op.getInits().size(), count = op.getStacked().size();
  if (op.getReversed().size() != count || op.getNumResults() != carried + count)
    return op.emitOpError() << "expects as many entries in 'stacked' and 'reversed' as "
                               "results behind the carried ones, "
                            << op.getNumResults() -
                                   std::min<size_t>(carried, op.getNumResults())
                            << ", but got " << count << " and "
                            << op.getReversed().size();
  for (auto [i, dim] : llvm::enumerate(op.getStacked())) {
    TensorType given = tensorType(next.getOperand(carried + i)),
               result = tensorType(op.getResult(carried + i));
    layout::Dims sizes = given.getSizes();
    if (dim < 0 || dim > given.getRank())
      return op.emitOpError() << "expects to stack along a dim between 0 and "
                              << given.getRank() << ", but got " << dim;
    sizes.insert(sizes.begin() + dim, op.getTrips().getValue());
    if (result.getSizes() != sizes || result.getElementType() != given.getElementType())
      return op.emitOpError() << "expects a stacked result of sizes "
                              << printDims(sizes) << " and dtype "
                              << given.getElementType() << ", but got " << result;
  }
  return success();
}

LogicalResult LoopOp::verify() {
  // loop_c5
  Operation *function = (*this)->getParentOp();
  while (function && !function->hasAttr(kSymbolsAttr))
    function = function->getParentOp();
  auto symbols =
      function ? function->getAttrOfType<ArrayAttr>(kSymbolsAttr) : ArrayAttr();
  if (!symbols || llvm::none_of(symbols.getAsRange<SymbolAttr>(), [&](SymbolAttr s) {
        return s.getName() == getRound();
      }))
    return emitOpError() << "expects the symbol '" << getRound()
                         << "' among those that the function declares";
  // loop_c2
  NextOp next = nextOf(getBody());
  if (!next || next.getNumOperands() != getNumResults())
    return emitOpError() << "expects a body that ends with 'rt.next' of "
                         << getNumResults() << " values";
  if (getBlock().getNumArguments() != getInits().size())
    return emitOpError() << "expects " << getInits().size()
                         << " block arguments, one for each carried value, but got "
                         << getBlock().getNumArguments();
  if (getInits().size() > getNumResults())
    return emitOpError() << "expects a result for each of " << getInits().size()
                         << " carried values, but got " << getNumResults();
  if (failed(verifyCarried(*this, next)) || failed(verifyStacked(*this, next)))
    return failure();
  // loop_c6
  if (!getConditional())
    return success();
  if (getInits().empty() || !getStacked().empty() ||
      tensorType(getInits().front()).getRank() != 0 ||
      !tensorType(getInits().front()).getElementType().isInteger(1))
    return emitOpError() << "expects a bool of rank 0 as its first carried value, and "
                            "nothing stacked, where it is conditional";
  return success();
}

LogicalResult IfOp::verify() {
  // if_c1
  if (tensorType(getCondition()).getRank() != 0)
    return emitOpError() << "expects a condition of rank 0, but got "
                         << getCondition().getType();
  // if_c2
  for (Region *region : {&getThen(), &getOtherwise()}) {
    NextOp next = nextOf(*region);
    bool fits =
        next && region->getNumArguments() == 0 &&
        next.getNumOperands() == getNumResults() &&
        llvm::all_of_zip(next.getOperands(), getResults(), [](Value a, Value b) {
          return sameShape(tensorType(a), tensorType(b));
        });
    if (!fits)
      return emitOpError() << "expects branches that end with 'rt.next' of values with "
                              "the sizes and dtypes of the results";
  }
  return success();
}

LogicalResult BufferOp::verify() {
  // buffer_c1
  if (!tensorType(getResult()).getOffset().isConstant(0))
    return emitOpError() << "expects a tensor without offset, but got "
                         << getResult().getType();
  return success();
}

} // namespace rtorch::rt
