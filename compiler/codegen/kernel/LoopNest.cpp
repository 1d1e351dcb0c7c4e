#include "compiler/codegen/kernel/LoopNest.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

Expr LoopNest::product(ArrayRef<int64_t> dims) const {
  Expr result = 1;
  for (int64_t dim : dims)
    result *= sizes[dim];
  return result;
}

Expr LoopNest::laneSize() const { return laneDim < 0 ? Expr(1) : sizes[laneDim]; }

/// The dim along which `type` is contiguous and not trivially short, or -1.
static int64_t unitStrideDim(TensorType type) {
  Dims sizes = type.getSizes(), strides = type.getStrides();
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim)
    if (strides[dim].isConstant(1) && !sizes[dim].isConstant(1))
      return dim;
  return -1;
}

/// Where dim `dim` of the reduced tensor `type` lies in the domain.
static int64_t domainDim(TensorType type, int64_t dim, const LoopNest &nest) {
  if (type.getRank() == static_cast<int64_t>(nest.sizes.size()))
    return dim;
  for (int64_t reduced : nest.reduced)
    dim += reduced <= dim;
  return dim;
}

/// The tensor whose layout decides how the kernel walks: what it reads where it
/// reduces, what it writes otherwise.
static int64_t chooseLaneDim(rt::KernelOp kernel, const LoopNest &nest) {
  SmallVector<Value> candidates;
  if (!nest.reduced.empty())
    llvm::append_range(candidates, kernel.getBlock().getArguments());
  llvm::append_range(candidates, kernel.getYield().getOperands());
  for (Value value : candidates)
    if (tensorType(value).getSizes() == nest.sizes)
      if (int64_t dim = unitStrideDim(tensorType(value)); dim >= 0)
        return dim;
  // Windows are short: lanes run over neighbouring ones.
  if (!nest.reduced.empty() && !kernel.getBlock().getOps<rt::UnfoldOp>().empty()) {
    auto stored = tensorType(kernel.getYield().getOperand(0));
    if (int64_t dim = unitStrideDim(stored); dim >= 0)
      return domainDim(stored, dim, nest);
  }
  for (int64_t dim = nest.sizes.size() - 1; dim >= 0; --dim)
    if (!nest.sizes[dim].isConstant(1))
      return dim;
  return -1;
}

/// Lanes fill one register of the narrowest type that matters, four bytes.
static int64_t chooseWidth(const Expr &laneSize, const Target &target) {
  int64_t width = target.lanes(4);
  std::optional<int64_t> size = laneSize.constant();
  while (size && width > 1 && width / 2 >= *size)
    width /= 2;
  return width;
}

/// Whether some argument is read with a large stride between lanes.
static bool gathersLanes(rt::KernelOp kernel, const LoopNest &nest) {
  if (nest.laneDim < 0)
    return false;
  return llvm::any_of(kernel.getBlock().getArgumentTypes(), [&](Type type) {
    auto tensor = cast<TensorType>(type);
    if (tensor.getSizes() != nest.sizes)
      return false;
    Expr stride = tensor.getStrides()[nest.laneDim];
    return !stride.isConstant(0) && !stride.isConstant(1);
  });
}

/// Moves the dim along which gathered arguments are contiguous to the end of `outer`,
/// and names those arguments.
static void findTransposed(rt::KernelOp kernel, LoopNest &nest) {
  int64_t along = -1;
  for (BlockArgument argument : kernel.getBlock().getArguments()) {
    TensorType type = tensorType(argument);
    int64_t dim = type.getSizes() == nest.sizes ? unitStrideDim(type) : -1;
    if (dim < 0 || dim == nest.laneDim || type.getElementType().isInteger(1) ||
        (along >= 0 && dim != along) || type.getStrides()[nest.laneDim].isConstant(1))
      continue;
    along = dim;
    nest.transposed.push_back(argument.getArgNumber());
  }
  if (along < 0)
    return;
  llvm::erase(nest.outer, along);
  nest.outer.push_back(along);
}

LoopNest LoopNest::of(rt::KernelOp kernel, const Target &target) {
  LoopNest nest;
  nest.sizes = tensorType(kernel.getYield().getOperand(0)).getSizes();
  for (Operation &op : kernel.getBlock())
    if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op)) {
      nest.sizes = tensorType(op.getOperand(0)).getSizes();
      nest.reduced.assign(reduction.getReducedDims().begin(),
                          reduction.getReducedDims().end());
      break;
    }
  nest.laneDim = chooseLaneDim(kernel, nest);
  nest.width = nest.laneDim < 0 ? 1 : chooseWidth(nest.laneSize(), target);
  nest.gathers = nest.reduced.empty() && gathersLanes(kernel, nest);
  for (int64_t dim = 0; dim < static_cast<int64_t>(nest.sizes.size()); ++dim) {
    if (dim == nest.laneDim)
      continue;
    (llvm::is_contained(nest.reduced, dim) ? nest.reducedOuter : nest.outer)
        .push_back(dim);
  }
  if (nest.gathers && nest.width > 1)
    findTransposed(kernel, nest);
  return nest;
}

} // namespace rtorch::codegen
