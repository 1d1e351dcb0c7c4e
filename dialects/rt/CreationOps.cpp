#include "dialects/rt/OpVerifiers.h"

using namespace mlir;

namespace rtorch::rt {

bool fitsDtype(Attribute value, Type type) {
  if (isa<ExprAttr>(value))
    return !type.isInteger(1);
  if (isa<FloatType>(type))
    return isa<FloatAttr>(value);
  if (type.isInteger(1))
    return isa<BoolAttr>(value);
  return isa<IntegerAttr>(value);
}

LogicalResult FullOp::verify() {
  // full_c1
  Type type = tensorType(getResult()).getElementType();
  if (!fitsDtype(getValue(), type))
    return emitOpError() << "expects a value of dtype " << type << ", but got "
                         << getValue();
  return success();
}

SmallVector<layout::Dims> FullOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult IotaOp::verify() {
  TensorType result = tensorType(getResult());
  // iota_c1
  if (result.getRank() != 1)
    return emitOpError() << "expects a result of rank 1, but got rank "
                         << result.getRank();
  // iota_c2
  for (Attribute value : {getStart(), getStep()})
    if (result.getElementType().isInteger(1) ||
        !fitsDtype(value, result.getElementType()))
      return emitOpError() << "expects start and step of dtype "
                           << result.getElementType() << ", but got " << value;
  return success();
}

SmallVector<layout::Dims> IotaOp::eagerStrides(layout::Guards &) {
  return rowMajorEagerStrides(*this);
}

LogicalResult CloneOp::verify() {
  TensorType source = tensorType(getSource()), result = tensorType(getResult());
  // clone_c1
  if (source.getSizes() != result.getSizes())
    return emitOpError() << "expects a result of sizes " << printSizes(source)
                         << ", but got " << printSizes(result);
  // clone_c2
  if (source.getElementType() != result.getElementType())
    return emitOpError() << "expects a result of dtype " << source.getElementType()
                         << ", but got " << result.getElementType();
  return success();
}

SmallVector<layout::Dims> CloneOp::eagerStrides(layout::Guards &) {
  // The memory format is the importer's choice; the result's type records it.
  return {tensorType(getResult()).getStrides()};
}

} // namespace rtorch::rt
