#include "dialects/rt/OpVerifiers.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

namespace rtorch::rt {

LogicalResult ParameterOp::verify() {
  // parameter_c1
  if (static_cast<int64_t>(getStorage()) < 0)
    return emitOpError() << "expects a storage number of 0 or more, but got "
                         << static_cast<int64_t>(getStorage());
  return success();
}

LogicalResult WriteOp::verify() {
  TensorType value = tensorType(getValue()), target = tensorType(getTarget());
  // write_c1
  if (value.getSizes() != target.getSizes())
    return emitOpError() << "expects 'value' with the sizes of 'target', "
                         << printSizes(target) << ", but got " << printSizes(value);
  // write_c2
  if (value.getElementType() != target.getElementType())
    return emitOpError() << "expects 'value' with the dtype of 'target', "
                         << target.getElementType() << ", but got "
                         << value.getElementType();
  return success();
}

LogicalResult ReturnOp::verify() {
  // return_c1
  auto function = dyn_cast<FunctionOpInterface>((*this)->getParentOp());
  if (!function)
    return emitOpError() << "expects a function as its parent";
  if (TypeRange(getOperandTypes()) != TypeRange(function.getResultTypes()))
    return emitOpError() << "expects operands of types (" << function.getResultTypes()
                         << "), but got (" << getOperandTypes() << ")";
  return success();
}

} // namespace rtorch::rt
