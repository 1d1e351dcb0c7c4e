#include "dialects/rt/OpVerifiers.h"

using namespace mlir;

namespace rtorch::rt {

YieldOp KernelOp::getYield() { return cast<YieldOp>(getBlock().back()); }

LogicalResult KernelOp::verify() {
  // kernel_c1
  if (getBlock().empty() || !isa<YieldOp>(getBlock().back()))
    return emitOpError() << "expects a body that ends with 'rt.yield'";
  // kernel_c2
  auto hasOffset = [](Value value) {
    return !tensorType(value).getOffset().isConstant(0);
  };
  for (Value value : getBlock().getArguments())
    if (!isa<TensorType>(value.getType()) || hasOffset(value))
      return emitOpError() << "expects tensor arguments without offset, but got "
                           << value.getType();
  for (Value value : getYield().getOperands())
    if (hasOffset(value))
      return emitOpError() << "expects yielded tensors without offset, but got "
                           << value.getType();
  return success();
}

LogicalResult YieldOp::verify() {
  // yield_c1
  if (getNumOperands() == 0)
    return emitOpError() << "expects at least one tensor";
  return success();
}

LogicalResult LaunchOp::verify() { return success(); }

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &table) {
  // launch_c1
  auto kernel = table.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError() << "expects a kernel named '" << getKernel() << "'";
  // launch_c2
  SmallVector<Type> inputs(getInputs().getTypes());
  SmallVector<Type> outputs(getResults().getTypes());
  llvm::append_range(outputs, getTargets().getTypes());
  auto dtype = [](Type type) { return cast<TensorType>(type).getElementType(); };
  auto match = [&](TypeRange ours, TypeRange theirs) {
    return ours.size() == theirs.size() &&
           llvm::all_of_zip(ours, theirs,
                            [&](Type a, Type b) { return dtype(a) == dtype(b); });
  };
  if (!match(inputs, kernel.getBlock().getArgumentTypes()) ||
      !match(outputs, kernel.getYield().getOperandTypes()))
    return emitOpError()
           << "expects operands and results in number and dtype as those of '"
           << getKernel() << "'";
  // launch_c3
  if (getValues().size() != kernel.getSymbols().size())
    return emitOpError() << "expects " << kernel.getSymbols().size()
                         << " values, but got " << getValues().size();
  return success();
}

} // namespace rtorch::rt
