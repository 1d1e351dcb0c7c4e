#include "dialects/rt/OpVerifiers.h"

using namespace mlir;
using rtorch::layout::Dims;

namespace rtorch::rt {

/// The constraints (C1) to (C3) that rt.index and rt.scatter share; gives the sizes of
/// what is read or written.
static FailureOr<Dims> verifyIndexing(Operation *op, TensorType source,
                                      ValueRange indices, ArrayRef<int64_t> dims,
                                      int64_t position) {
  // index_c1, scatter_c1
  llvm::SmallDenseSet<int64_t> different(dims.begin(), dims.end());
  bool inRange = llvm::all_of(
      dims, [&](int64_t dim) { return dim >= 0 && dim < source.getRank(); });
  if (!inRange || different.size() != dims.size() || dims.size() != indices.size() ||
      dims.empty())
    return op->emitOpError() << "expects a different dim below rank "
                             << source.getRank() << " for each of " << indices.size()
                             << " indices, but got [" << dims << "]";
  // index_c2, scatter_c2
  std::vector<Dims> sizes;
  for (Value index : indices)
    sizes.push_back(tensorType(index).getSizes());
  layout::Guards guards = guardsAround(op);
  std::optional<Dims> common = layout::broadcastSizes(sizes, guards);
  if (!common)
    return op->emitOpError() << "expects indices whose sizes broadcast, but got "
                             << indices.getTypes();
  Dims result;
  for (int64_t dim = 0; dim < source.getRank(); ++dim)
    if (!different.contains(dim))
      result.push_back(source.getSize(dim));
  // index_c3, scatter_c3
  if (position < 0 || position > static_cast<int64_t>(result.size()))
    return op->emitOpError() << "expects a position of at most " << result.size()
                             << ", but got " << position;
  result.insert(result.begin() + position, common->begin(), common->end());
  return result;
}

LogicalResult IndexOp::verify() {
  TensorType source = tensorType(getSource()), result = tensorType(getResult());
  FailureOr<Dims> expected =
      verifyIndexing(*this, source, getIndices(), getDims(), getPosition());
  if (failed(expected))
    return failure();
  // index_c4
  if (*expected != result.getSizes())
    return emitOpError() << "expects result sizes " << printDims(*expected)
                         << ", but got " << printSizes(result);
  // index_c5
  if (source.getElementType() != result.getElementType())
    return emitOpError() << "expects a result of dtype " << source.getElementType()
                         << ", but got " << result.getElementType();
  return success();
}

SmallVector<Dims> IndexOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult ScatterOp::verify() {
  TensorType source = tensorType(getSource()), result = tensorType(getResult()),
             updates = tensorType(getUpdates());
  FailureOr<Dims> expected =
      verifyIndexing(*this, source, getIndices(), getDims(), getPosition());
  if (failed(expected))
    return failure();
  // scatter_c4
  if (*expected != updates.getSizes())
    return emitOpError() << "expects updates of sizes " << printDims(*expected)
                         << ", but got " << printSizes(updates);
  // scatter_c5
  if (source.getElementType() != result.getElementType() ||
      source.getElementType() != updates.getElementType())
    return emitOpError() << "expects dtype " << source.getElementType()
                         << " everywhere, but got " << updates.getElementType()
                         << " and " << result.getElementType();
  // scatter_c6
  if (source.getSizes() != result.getSizes())
    return emitOpError() << "expects a result of sizes " << printSizes(source)
                         << ", but got " << printSizes(result);
  // scatter_c7
  if (!llvm::is_contained({"set", "add", "mul", "amax", "amin"}, getCombine()))
    return emitOpError() << "expects one of 'set', 'add', 'mul', 'amax', 'amin', but "
                            "got '"
                         << getCombine() << "'";
  return success();
}

SmallVector<Dims> ScatterOp::eagerStrides(layout::Guards &guards) {
  return {layout::preserveStrides(tensorType(getSource()).getLayout(), guards)};
}

LogicalResult PadOp::verify() {
  TensorType source = tensorType(getSource()), result = tensorType(getResult());
  // pad_c1
  if (static_cast<int64_t>(getLow().size()) != source.getRank())
    return emitOpError() << "expects " << source.getRank()
                         << " expressions for 'low', but got " << getLow().size();
  // pad_c2
  if (source.getRank() != result.getRank() ||
      source.getElementType() != result.getElementType())
    return emitOpError() << "expects a result of rank " << source.getRank()
                         << " and dtype " << source.getElementType() << ", but got "
                         << result;
  // pad_c3
  if (!fitsDtype(getValue(), result.getElementType()))
    return emitOpError() << "expects a value of dtype " << result.getElementType()
                         << ", but got " << getValue();
  return success();
}

SmallVector<Dims> PadOp::eagerStrides(layout::Guards &guards) {
  layout::MemoryFormat format =
      layout::suggestMemoryFormat(tensorType(getSource()).getLayout(), guards);
  return {layout::stridesOf(format, tensorType(getResult()).getSizes())};
}

LogicalResult ScanOp::verify() {
  TensorType x = tensorType(getX()), result = tensorType(getResult());
  // scan_c1
  if (x.getSizes() != result.getSizes() ||
      x.getElementType() != result.getElementType())
    return emitOpError() << "expects a result of sizes " << printSizes(x)
                         << " and dtype " << x.getElementType() << ", but got "
                         << result;
  // scan_c2
  if (static_cast<int64_t>(getDim()) < 0 ||
      static_cast<int64_t>(getDim()) >= x.getRank())
    return emitOpError() << "expects a dim below rank " << x.getRank() << ", but got "
                         << static_cast<int64_t>(getDim());
  // scan_c3
  if (!llvm::is_contained({"add", "mul", "max", "min", "logaddexp"}, getCombine()))
    return emitOpError() << "expects one of 'add', 'mul', 'max', 'min', 'logaddexp', "
                            "but got '"
                         << getCombine() << "'";
  return success();
}

SmallVector<Dims> ScanOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult SortOp::verify() {
  TensorType x = tensorType(getX()), values = tensorType(getValues()),
             indices = tensorType(getIndices());
  // sort_c2
  int64_t dim = getDim();
  if (dim < 0 || dim >= x.getRank())
    return emitOpError() << "expects a dim below rank " << x.getRank() << ", but got "
                         << dim;
  // sort_c1
  Dims sizes = x.getSizes();
  if (values.getRank() == x.getRank())
    sizes[dim] = values.getSize(dim);
  bool fewer = layout::Guards().query(layout::Relation::Lt, x.getSize(dim),
                                      sizes[dim]) != layout::Answer::Proven;
  if (sizes != values.getSizes() || sizes != indices.getSizes() || !fewer ||
      x.getElementType() != values.getElementType())
    return emitOpError() << "expects results of sizes " << printSizes(x)
                         << ", or fewer along dim " << dim << ", and values of dtype "
                         << x.getElementType() << ", but got " << values << " and "
                         << indices;
  return success();
}

SmallVector<Dims> SortOp::eagerStrides(layout::Guards &guards) {
  TensorType x = tensorType(getX());
  Dims sizes = tensorType(getValues()).getSizes();
  Dims strides = sizes == x.getSizes() ? layout::preserveStrides(x.getLayout(), guards)
                                       : layout::contiguousStrides(sizes);
  return {strides, strides};
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
