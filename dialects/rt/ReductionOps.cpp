#include "dialects/rt/OpVerifiers.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using rtorch::layout::Dims;

namespace rtorch::rt {

LogicalResult verifyReduction(Operation *op, ArrayRef<int64_t> dims, bool keepdim) {
  TensorType operand = tensorType(op->getOperand(0)),
             result = tensorType(op->getResult(0));
  // reduction_c1
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim < 0 || dim >= operand.getRank() || (i && dims[i - 1] >= dim))
      return op->emitOpError() << "expects ascending dims below rank "
                               << operand.getRank() << ", but got [" << dims << "]";
  // reduction_c2
  Dims expected;
  for (int64_t dim = 0; dim < operand.getRank(); ++dim) {
    if (!llvm::is_contained(dims, dim))
      expected.push_back(operand.getSize(dim));
    else if (keepdim)
      expected.push_back(1);
  }
  if (expected != result.getSizes())
    return op->emitOpError() << "expects result sizes " << printDims(expected)
                             << ", but got " << printSizes(result);
  // reduction_c3
  if (operand.getElementType() != result.getElementType())
    return op->emitOpError() << "expects a result of dtype " << operand.getElementType()
                             << ", but got " << result.getElementType();
  return success();
}

/// Shared by the ops that keep sizes and dtype and work along `dim`.
static LogicalResult verifySameShape(Operation *op, TensorType x, TensorType result) {
  if (x.getSizes() != result.getSizes() ||
      x.getElementType() != result.getElementType())
    return op->emitOpError() << "expects a result of sizes " << printSizes(x)
                             << " and dtype " << x.getElementType() << ", but got "
                             << printSizes(result) << " and "
                             << result.getElementType();
  return success();
}

static LogicalResult verifyAlongDim(Operation *op, Value x, Value result, int64_t dim) {
  // softmax_c1
  if (failed(verifySameShape(op, tensorType(x), tensorType(result))))
    return failure();
  // softmax_c2
  if (dim < 0 || dim >= tensorType(x).getRank())
    return op->emitOpError() << "expects a dim below rank " << tensorType(x).getRank()
                             << ", but got " << dim;
  return success();
}

LogicalResult SoftmaxOp::verify() {
  return verifyAlongDim(*this, getX(), getResult(), getDim());
}
SmallVector<Dims> SoftmaxOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult LogSoftmaxOp::verify() {
  return verifyAlongDim(*this, getX(), getResult(), getDim());
}
SmallVector<Dims> LogSoftmaxOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult LayerNormOp::verify() {
  TensorType x = tensorType(getX());
  // layer_norm_c1
  if (failed(verifySameShape(*this, x, tensorType(getResult()))))
    return failure();
  // layer_norm_c2
  int64_t count = getNormalizedDims();
  if (count < 1 || count > x.getRank())
    return emitOpError() << "expects between 1 and " << x.getRank()
                         << " normalized dims, but got " << count;
  // layer_norm_c3
  Dims sizes = x.getSizes();
  Dims tail(sizes.end() - count, sizes.end());
  for (Value affine : {getWeight(), getBias()}) {
    if (!affine)
      continue;
    TensorType type = tensorType(affine);
    if (type.getSizes() != tail || type.getElementType() != x.getElementType())
      return emitOpError() << "expects weight and bias of sizes " << printDims(tail)
                           << " and dtype " << x.getElementType() << ", but got "
                           << type;
  }
  return success();
}
SmallVector<Dims> LayerNormOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

} // namespace rtorch::rt
