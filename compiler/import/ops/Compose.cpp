// Compositions that several families of rules share.
#include "compiler/import/ops/Compose.h"

namespace rtorch::translate {

Value rowMajor(Emitter &e, Value x) {
  return x ? e.withStrides(x, layout::contiguousStrides(sizesOf(x))) : x;
}

Value likeOperands(Emitter &e, Value result, llvm::ArrayRef<Value> operands) {
  if (!result)
    return result;
  std::vector<layout::Layout> layouts;
  for (Value operand : operands)
    layouts.push_back(layoutOf(operand));
  return e.withStrides(result,
                       layout::pointwiseStrides(sizesOf(result), layouts, e.guards));
}

Value addAlong(Emitter &e, Value x, Value places, int64_t dim, const Expr &size) {
  if (!x || !places)
    return {};
  Dims sizes = sizesOf(x);
  sizes[dim] = size;
  Value zero = e.full(Scalar::of(int64_t(0)), dtypeOf(x), sizes);
  return e.scatter(zero, {places}, x, {dim}, dim, false, "add");
}

std::vector<bool> outputMask(Call &c) {
  const importer::Argument *argument = c.node.find("output_mask");
  auto *mask = argument ? std::get_if<std::vector<bool>>(argument) : nullptr;
  std::vector<bool> result = mask ? *mask : std::vector<bool>();
  result.resize(4, !mask);
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = result[i] && c.isUsed(i);
  return result;
}

} // namespace rtorch::translate
