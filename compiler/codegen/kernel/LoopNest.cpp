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

/// A dim that is not reduced and along which neighbours in the tensor lie a few
/// elements apart, with what is reduced between them: short windows side by side. -1 if
/// none.
static int64_t sideBySideDim(TensorType type, int64_t unitDim, const LoopNest &nest) {
  if (!llvm::is_contained(nest.reduced, unitDim) ||
      type.getSize(unitDim).constant().value_or(INT64_MAX) > kShortStep)
    return -1;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (!llvm::is_contained(nest.reduced, dim) && !type.getSize(dim).isConstant(1)) {
      int64_t stride = type.getStrides()[dim].constant().value_or(0);
      if (stride > 0 && stride <= kShortStep)
        return dim;
    }
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

/// Finds the dims of the domain along which a reduction's operand reads memory without
/// any index of data, and the least distance between neighbours.
class DirectDims {
public:
  /// `dims`: for each dim of `value` the dim of the domain, or -1.
  void follow(Value value, SmallVector<int64_t> dims) {
    Operation *op = value.getDefiningOp();
    if (!op)
      return meetBuffer(tensorType(value), dims);
    if (auto index = dyn_cast<rt::IndexOp>(op))
      return follow(index.getSource(), behindIndex(index, dims));
    if (auto permute = dyn_cast<rt::PermuteOp>(op)) {
      SmallVector<int64_t> moved(dims.size());
      for (auto [i, dim] : llvm::enumerate(permute.getPermutation()))
        moved[dim] = dims[i];
      return follow(permute.getSource(), moved);
    }
    if (auto unsqueeze = dyn_cast<rt::UnsqueezeOp>(op)) {
      dims.erase(dims.begin() + unsqueeze.getDim());
      return follow(unsqueeze.getSource(), dims);
    }
    if (isa<rt::PointwiseOpInterface, rt::ExpandOp, rt::PadOp, rt::CloneOp>(op))
      for (Value operand : op->getOperands()) {
        int64_t rank = tensorType(operand).getRank();
        follow(operand, SmallVector<int64_t>(dims.end() - rank, dims.end()));
      }
  }

  std::optional<int64_t> nearest() const {
    return best_ >= 0 ? std::optional(best_) : std::nullopt;
  }

private:
  void meetBuffer(TensorType type, ArrayRef<int64_t> dims) {
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      std::optional<int64_t> stride = type.getStrides()[dim].constant();
      if (dims[dim] < 0 || type.getSize(dim).isConstant(1) || stride == 0)
        continue;
      int64_t distance = stride.value_or(INT64_MAX);
      if (best_ < 0 || distance < distance_)
        best_ = dims[dim], distance_ = distance;
    }
  }

  static SmallVector<int64_t> behindIndex(rt::IndexOp index, ArrayRef<int64_t> dims) {
    int64_t rank = tensorType(index.getSource()).getRank(),
            position = index.getPosition();
    int64_t count = index.getDims().size();
    int64_t common = dims.size() - (rank - count);
    SmallVector<int64_t> rest(dims.take_front(position)), result(rank, -1);
    rest.append(dims.begin() + position + common, dims.end());
    for (int64_t dim = 0, kept = 0; dim < rank; ++dim)
      if (!llvm::is_contained(index.getDims(), dim))
        result[dim] = rest[kept++];
    return result;
  }

  int64_t best_ = -1, distance_ = 0;
};

/// The dim along which gathered elements are contiguous, or least far apart.
static std::optional<int64_t> directDim(rt::KernelOp kernel, const LoopNest &nest) {
  if (kernel.getBlock().getOps<rt::IndexOp>().empty())
    return std::nullopt;
  DirectDims direct;
  auto identity = llvm::to_vector(llvm::seq<int64_t>(0, nest.sizes.size()));
  for (Operation &op : kernel.getBlock())
    if (isa<rt::ReductionOpInterface>(op) &&
        tensorType(op.getOperand(0)).getSizes() == nest.sizes)
      direct.follow(op.getOperand(0), identity);
  return direct.nearest();
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
      if (int64_t dim = unitStrideDim(tensorType(value)); dim >= 0) {
        int64_t other = sideBySideDim(tensorType(value), dim, nest);
        return other >= 0 ? other : dim;
      }
  // Windows are short: lanes run over neighbouring ones.
  if (!nest.reduced.empty() && !kernel.getBlock().getOps<rt::UnfoldOp>().empty()) {
    auto stored = tensorType(kernel.getYield().getOperand(0));
    if (int64_t dim = unitStrideDim(stored); dim >= 0)
      return domainDim(stored, dim, nest);
  }
  if (!nest.reduced.empty())
    if (std::optional<int64_t> dim = directDim(kernel, nest))
      return *dim;
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

/// Takes the dims over which gathered arguments are contiguous out of `outer`, and
/// names those arguments.
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
  // Further dims whose neighbours follow where the last one ends.
  while (along >= 0) {
    llvm::erase(nest.outer, along);
    nest.along.insert(nest.along.begin(), along);
    auto *next = llvm::find_if(nest.outer, [&](int64_t dim) {
      return llvm::all_of(nest.transposed, [&](unsigned number) {
        TensorType type = tensorType(kernel.getBlock().getArgument(number));
        return !nest.sizes[dim].isConstant(1) &&
               type.getStrides()[dim] == type.getStrides()[along] * nest.sizes[along];
      });
    });
    along = next == nest.outer.end() ? -1 : *next;
  }
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
  nest.windows =
      !nest.reduced.empty() && llvm::any_of(kernel.getBlock(), [](Operation &op) {
        return isa<rt::UnfoldOp, rt::IndexOp>(op);
      });
  nest.laneDim = chooseLaneDim(kernel, nest);
  // Neighbouring windows side by side are walked like windows that overlap.
  nest.windows |= !nest.reduced.empty() && !nest.lanesReduced() &&
                  llvm::any_of(kernel.getBlock().getArguments(), [&](Value value) {
                    TensorType type = tensorType(value);
                    int64_t unit =
                        type.getSizes() == nest.sizes ? unitStrideDim(type) : -1;
                    return unit >= 0 && sideBySideDim(type, unit, nest) == nest.laneDim;
                  });
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
