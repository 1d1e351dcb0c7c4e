#include "dialects/rt/OpVerifiers.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Layout;

namespace rtorch::rt {

std::string printSizes(TensorType type) { return printDims(type.getSizes()); }

LogicalResult verifyPointwise(Operation *op, PointwiseTypes types) {
  TensorType result = tensorType(op->getResult(0));
  SmallVector<Dims> sizes;
  for (Value operand : op->getOperands())
    sizes.push_back(tensorType(operand).getSizes());
  // pointwise_c1
  layout::Guards guards = guardsAround(op);
  std::optional<Dims> expected = layout::broadcastSizes(sizes, guards);
  if (!expected) {
    InFlightDiagnostic diag = op->emitOpError()
                              << "cannot broadcast operands of sizes ";
    llvm::interleaveComma(sizes, diag,
                          [&](const Dims &dims) { diag << printDims(dims); });
    return diag;
  }
  if (*expected != result.getSizes())
    return op->emitOpError() << "expects result sizes " << printDims(*expected)
                             << ", but got " << printSizes(result);
  // pointwise_c2
  if (types == PointwiseTypes::Any) {
    if (isa<ConvertOp>(op) &&
        tensorType(op->getOperand(0)).getElementType() == result.getElementType())
      return op->emitOpError()
             << "expects a result of another dtype than " << result.getElementType();
    return success();
  }
  size_t first = types == PointwiseTypes::Select ? 1 : 0;
  Type dtype = tensorType(op->getOperand(first)).getElementType();
  for (Value operand : op->getOperands().drop_front(first))
    if (tensorType(operand).getElementType() != dtype)
      return op->emitOpError() << "expects operands of one dtype, but got " << dtype
                               << " and " << tensorType(operand).getElementType();
  if (types != PointwiseTypes::Predicate && result.getElementType() != dtype)
    return op->emitOpError() << "expects a result of dtype " << dtype << ", but got "
                             << result.getElementType();
  return success();
}

SmallVector<Dims> pointwiseEagerStrides(Operation *op, layout::Guards &guards) {
  Dims sizes = tensorType(op->getResult(0)).getSizes();
  SmallVector<Layout> operands;
  for (Value operand : op->getOperands())
    operands.push_back(tensorType(operand).getLayout());
  // A dtype conversion preserves the format, which differs on size-1 dims.
  if (isa<ConvertOp>(op))
    return {layout::preserveStrides(operands.front(), guards)};
  return {layout::pointwiseStrides(sizes, operands, guards)};
}

SmallVector<Dims> rowMajorEagerStrides(Operation *op) {
  SmallVector<Dims> strides;
  for (Value result : op->getResults())
    strides.push_back(layout::contiguousStrides(tensorType(result).getSizes()));
  return strides;
}

} // namespace rtorch::rt
