#include "dialects/rt/OpVerifiers.h"

using namespace mlir;
using rtorch::layout::Dims;

namespace rtorch::rt {

LogicalResult IndexSelectOp::verify() {
  TensorType source = tensorType(getSource()), result = tensorType(getResult());
  int64_t dim = getDim();
  // index_select_c1
  if (dim < 0 || dim >= source.getRank())
    return emitOpError() << "expects a dim below rank " << source.getRank()
                         << ", but got " << dim;
  // index_select_c2
  Dims expected = source.getSizes(), indices = tensorType(getIndices()).getSizes();
  expected.erase(expected.begin() + dim);
  expected.insert(expected.begin() + dim, indices.begin(), indices.end());
  if (expected != result.getSizes())
    return emitOpError() << "expects result sizes " << printDims(expected)
                         << ", but got " << printSizes(result);
  // index_select_c3
  if (source.getElementType() != result.getElementType())
    return emitOpError() << "expects a result of dtype " << source.getElementType()
                         << ", but got " << result.getElementType();
  return success();
}
SmallVector<Dims> IndexSelectOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult CatOp::verify() {
  TensorType result = tensorType(getResult());
  int64_t dim = getDim();
  // cat_c1
  if (getInputs().empty() || dim < 0 || dim >= result.getRank())
    return emitOpError() << "expects an input and a dim below rank " << result.getRank()
                         << ", but got " << getInputs().size() << " inputs and dim "
                         << dim;
  // cat_c2
  Dims expected = result.getSizes();
  layout::Expr total;
  for (Value input : getInputs()) {
    TensorType type = tensorType(input);
    Dims sizes = type.getSizes();
    if (type.getElementType() != result.getElementType() ||
        type.getRank() != result.getRank())
      return emitOpError() << "expects inputs of rank " << result.getRank()
                           << " and dtype " << result.getElementType() << ", but got "
                           << type;
    total += sizes[dim];
    sizes[dim] = expected[dim];
    if (sizes != expected)
      return emitOpError() << "expects inputs of sizes " << printDims(expected)
                           << " but for dim " << dim << ", but got "
                           << printSizes(type);
  }
  if (total != expected[dim])
    return emitOpError() << "expects a result of size " << total.str() << " in dim "
                         << dim << ", but got " << expected[dim].str();
  return success();
}

SmallVector<Dims> CatOp::eagerStrides(layout::Guards &guards) {
  Dims sizes = tensorType(getResult()).getSizes();
  layout::MemoryFormat format = layout::MemoryFormat::Contiguous;
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    auto suggested = layout::suggestMemoryFormat(tensorType(input).getLayout(), guards);
    if (i && suggested != format)
      return rowMajorEagerStrides(*this);
    format = suggested;
  }
  return {layout::stridesOf(format, sizes)};
}

LogicalResult ScatterViewOp::verify() {
  TensorType source = tensorType(getSource()), value = tensorType(getValue()),
             result = tensorType(getResult()), region = cast<TensorType>(getRegion());
  // scatter_view_c1
  if (source.getSizes() != result.getSizes())
    return emitOpError() << "expects a result of sizes " << printSizes(source)
                         << ", but got " << printSizes(result);
  // scatter_view_c2
  if (source.getElementType() != result.getElementType() ||
      source.getElementType() != value.getElementType())
    return emitOpError() << "expects dtype " << source.getElementType()
                         << " everywhere, but got " << value.getElementType() << " and "
                         << result.getElementType();
  // scatter_view_c3
  if (region.getSizes() != value.getSizes())
    return emitOpError() << "expects a region of sizes " << printSizes(value)
                         << ", but got " << printSizes(region);
  return success();
}

SmallVector<Dims> ScatterViewOp::eagerStrides(layout::Guards &) {
  return {tensorType(getResult()).getStrides()};
}

} // namespace rtorch::rt
