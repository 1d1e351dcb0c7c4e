#include "compiler/schedule/Winograd.h"

#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;

/// Channels of a group, of input and of result: fewer leave the transforms no work to
/// share.
constexpr int64_t kMinChannels = 16;

/// Windows of two by two pixels that read a filter: fewer are bound by the memory that
/// filters come from, and filters that are arguments are transformed in each call.
constexpr int64_t kMinWindows = 32, kMinWindowsOfArguments = 256;

static bool isAll(ArrayRef<int64_t> numbers, int64_t value) {
  return llvm::all_of(numbers, [&](int64_t number) { return number == value; });
}

/// Whether `value` can be computed while compiling: from parameters alone.
static bool isFixed(Value value) {
  SmallVector<Value> worklist{value};
  llvm::SmallDenseSet<Value> seen{value};
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (!op || op->getNumRegions())
      return false;
    for (Value operand : op->getOperands())
      if (seen.insert(operand).second)
        worklist.push_back(operand);
  }
  return true;
}

bool paysWinograd(rt::ConvolutionOp op, Value x) {
  TensorType weight = tensorType(op.getWeight()), result = tensorType(op.getResult());
  if (result.getRank() != 4 || !result.getElementType().isF32() ||
      !weight.getSize(2).isConstant(3) || !weight.getSize(3).isConstant(3) ||
      !isAll(op.getStride(), 1) || !isAll(op.getDilation(), 1) ||
      !tensorType(x).getStrides()[1].isConstant(1))
    return false;
  std::optional<int64_t> inputs = weight.getSize(1).constant(),
                         outputs = weight.getSize(0).constant();
  if (!inputs || !outputs || *inputs < kMinChannels ||
      *outputs / static_cast<int64_t>(op.getGroups()) < kMinChannels)
    return false;
  int64_t wanted = isFixed(op.getWeight()) ? kMinWindows : kMinWindowsOfArguments;
  // A dynamic batch may be one image; dynamic images are taken for large ones.
  int64_t windows = result.getSize(0).constant().value_or(1);
  for (int64_t dim : {2, 3})
    windows *= (result.getSize(dim).constant().value_or(wanted) + 1) / 2;
  return windows >= wanted;
}

/// G along dim `dim`, from 3 to 4.
static Value transformDim(TensorBuilder &t, Value x, int64_t dim, bool flipped) {
  Value first = t.slice(x, dim, 0, 1), middle = t.slice(x, dim, 1, 2),
        last = t.slice(x, dim, 2, 3);
  if (flipped)
    std::swap(first, last);
  Value ends = t.add(first, last);
  return t.cat({first, t.scale(t.add(ends, middle), 0.5),
                t.scale(t.sub(ends, middle), 0.5), last},
               dim);
}

Value winogradFilters(TensorBuilder &t, Value weight, ArrayRef<int64_t> flipped) {
  for (int64_t dim : {2, 3})
    weight = transformDim(t, weight, dim, llvm::is_contained(flipped, dim));
  return weight;
}

} // namespace rtorch::schedule
