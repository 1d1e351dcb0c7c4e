// Fewer dims, in the order of memory: loops over [N, H, W, C] become loops over
// [N * H * W, C], or over all elements at once.
#include "compiler/codegen/kernel/KernelFunction.h"

#include "llvm/ADT/SetVector.h"

#include <numeric>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// Dims of the domain: what becomes of them in every tensor of the kernel.
class Collapse {
public:
  /// Whether the kernel's tensors all are the domain, or reduced or broadcast to it, so
  /// that its dims can be moved and merged.
  bool analyze(rt::KernelOp kernel);
  void apply();

private:
  /// A run of domain dims, outermost first, that become one.
  using Run = SmallVector<int64_t, 4>;

  bool addTensor(Value value);
  bool isBuffer(Value value) const { return buffers_.contains(value); }
  /// The dim of `type` that is dim `dim` of the domain, or -1 where it has none.
  int64_t ownDim(TensorType type, int64_t dim) const {
    return dim - (rank() - type.getRank());
  }
  bool isFull(TensorType type, int64_t dim) const {
    int64_t own = ownDim(type, dim);
    return own >= 0 && type.getSize(own) == domain_[dim] && !domain_[dim].isConstant(1);
  }
  bool canMerge(int64_t outer, int64_t inner) const;
  void chooseOrder();
  TensorType collapsed(Value value) const;
  int64_t rank() const { return domain_.size(); }

  rt::KernelOp kernel_;
  Dims domain_;
  SmallVector<Value> tensors_;
  llvm::DenseSet<Value> buffers_;
  llvm::DenseSet<int64_t> reduced_;
  SmallVector<Run> runs_;
};

bool Collapse::addTensor(Value value) {
  TensorType type = tensorType(value);
  if (type.getRank() > rank())
    return false;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    Expr size = type.getSize(dim);
    if (!size.isConstant(1) && size != domain_[rank() - type.getRank() + dim])
      return false;
  }
  tensors_.push_back(value);
  return true;
}

bool Collapse::analyze(rt::KernelOp kernel) {
  kernel_ = kernel;
  Block &block = kernel.getBlock();
  domain_ = tensorType(kernel.getYield().getOperand(0)).getSizes();
  for (Operation &op : block) {
    if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op)) {
      if (!reduction.keepsReducedDims())
        return false;
      domain_ = tensorType(op.getOperand(0)).getSizes();
      reduced_.insert(reduction.getReducedDims().begin(),
                      reduction.getReducedDims().end());
    } else if (!isa<rt::PointwiseOpInterface, rt::CloneOp, rt::FullOp, rt::YieldOp>(
                   op)) {
      return false;
    }
  }
  for (Value argument : block.getArguments())
    buffers_.insert(argument);
  for (Value value : kernel.getYield().getOperands())
    buffers_.insert(value);
  if (!llvm::all_of(block.getArguments(), [&](Value v) { return addTensor(v); }))
    return false;
  for (Operation &op : block) {
    if (!llvm::all_of(op.getResults(), [&](Value v) { return addTensor(v); }))
      return false;
    // Every reduction folds the same dims.
    if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op);
        reduction && reduction.getReducedDims().size() != reduced_.size())
      return false;
  }
  chooseOrder();
  bool reduces = llvm::any_of(
      runs_, [&](const Run &run) { return reduced_.contains(run.back()); });
  return !runs_.empty() && reduces == !reduced_.empty();
}

/// Whether neighbouring elements of `outer` are as far apart as `inner` is long, in
/// every buffer.
bool Collapse::canMerge(int64_t outer, int64_t inner) const {
  if (reduced_.contains(outer) != reduced_.contains(inner))
    return false;
  return llvm::all_of(tensors_, [&](Value value) {
    TensorType type = tensorType(value);
    if (isFull(type, outer) != isFull(type, inner))
      return false;
    if (!isBuffer(value) || !isFull(type, outer))
      return true;
    Dims strides = type.getStrides();
    return strides[ownDim(type, outer)] ==
           strides[ownDim(type, inner)] * domain_[inner];
  });
}

/// Dims in the order of the strides of the first buffer that is the whole domain; those
/// that can be are merged.
void Collapse::chooseOrder() {
  SmallVector<int64_t> order;
  for (int64_t dim = 0; dim < rank(); ++dim)
    if (!domain_[dim].isConstant(1))
      order.push_back(dim);
  for (Value value : tensors_) {
    if (!isBuffer(value) || tensorType(value).getSizes() != domain_)
      continue;
    Dims strides = tensorType(value).getStrides();
    // A dim is inside of another if the other's stride is a multiple of its own.
    auto isInside = [&](int64_t a, int64_t b) {
      return strides[a] == strides[b] * domain_[b];
    };
    SmallVector<int64_t> sorted;
    for (int64_t dim : order)
      if (strides[dim].isConstant(1) && sorted.empty())
        sorted.push_back(dim);
    while (!sorted.empty() && sorted.size() < order.size()) {
      const auto *outer = llvm::find_if(order, [&](int64_t dim) {
        return !llvm::is_contained(sorted, dim) && isInside(dim, sorted.front());
      });
      if (outer == order.end())
        break;
      sorted.insert(sorted.begin(), *outer);
    }
    if (sorted.size() == order.size())
      order = sorted;
    break;
  }
  for (int64_t dim : order) {
    if (!runs_.empty() && canMerge(runs_.back().back(), dim))
      runs_.back().push_back(dim);
    else
      runs_.push_back({dim});
  }
}

TensorType Collapse::collapsed(Value value) const {
  TensorType type = tensorType(value);
  if (type.getRank() == 0)
    return type;
  layout::Layout layout;
  for (const Run &run : runs_) {
    Expr size = 1, stride = 1;
    if (isFull(type, run.back())) {
      for (int64_t dim : run)
        size *= domain_[dim];
      stride = type.getStrides()[ownDim(type, run.back())];
    }
    layout.sizes.push_back(size);
    layout.strides.push_back(stride);
  }
  if (!isBuffer(value))
    layout.strides = layout::contiguousStrides(layout.sizes);
  return TensorType::get(type.getContext(), layout, type.getElementType());
}

void Collapse::apply() {
  SmallVector<TensorType> types;
  for (Value value : tensors_)
    types.push_back(collapsed(value));
  for (auto [value, type] : llvm::zip_equal(tensors_, types))
    value.setType(type);
  SmallVector<int64_t> reduced;
  for (auto [i, run] : llvm::enumerate(runs_))
    if (reduced_.contains(run.back()))
      reduced.push_back(i);
  Builder builder(kernel_.getContext());
  for (Operation &op : kernel_.getBlock())
    if (isa<rt::ReductionOpInterface>(op))
      op.setAttr("dims", builder.getDenseI64ArrayAttr(reduced));
}

/// Gives the results of reductions, and what is computed of them, the dims back that
/// they dropped, with size 1: then the dims of all tensors of the kernel are those of
/// the domain.
class KeepDims {
public:
  explicit KeepDims(rt::KernelOp kernel) : kernel_(kernel) {}

  void run() {
    if (analyze())
      apply();
  }

private:
  bool analyze() {
    for (Operation &op : kernel_.getBlock())
      if (!visit(&op))
        return false;
    // What is handed in for the reduced level must not serve the domain too.
    return !values_.empty() && llvm::all_of(values_, [&](Value value) {
      return llvm::all_of(value.getUsers(), [&](Operation *user) {
        return isa<rt::YieldOp>(user) || values_.contains(user->getResult(0));
      });
    });
  }

  bool visit(Operation *op) {
    if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op)) {
      auto dims = llvm::to_vector(reduction.getReducedDims());
      Dims domain = tensorType(op->getOperand(0)).getSizes();
      bool first = values_.empty();
      if (reduction.keepsReducedDims() || values_.contains(op->getOperand(0)) ||
          (!first && (dims != dims_ || domain.size() != rank_)))
        return false;
      dims_ = dims, rank_ = domain.size();
      dropped_ = tensorType(op->getResult(0)).getSizes();
      values_.insert(op->getResult(0));
      return true;
    }
    if (!isa<rt::PointwiseOpInterface, rt::CloneOp>(op))
      return isa<rt::FullOp, rt::YieldOp>(op);
    if (llvm::none_of(op->getOperands(),
                      [&](Value operand) { return values_.contains(operand); }))
      return true;
    values_.insert(op->getResult(0));
    return tensorType(op->getResult(0)).getSizes() == dropped_ &&
           llvm::all_of(op->getOperands(),
                        [&](Value operand) { return take(operand); });
  }

  /// Whether an operand is of the reduced level, or the same everywhere.
  bool take(Value operand) {
    TensorType type = tensorType(operand);
    if (values_.contains(operand) || type.getRank() == 0)
      return true;
    if (!isa<BlockArgument>(operand) || type.getSizes() != dropped_)
      return false;
    values_.insert(operand);
    return true;
  }

  void apply() {
    for (Value value : values_) {
      layout::Layout layout = tensorType(value).getLayout();
      for (int64_t dim : dims_) { // ascending
        layout.sizes.insert(layout.sizes.begin() + dim, 1);
        layout.strides.insert(layout.strides.begin() + dim, 1);
      }
      value.setType(TensorType::get(value.getContext(), layout,
                                    tensorType(value).getElementType()));
    }
    Builder builder(kernel_.getContext());
    for (Operation &op : kernel_.getBlock())
      if (isa<rt::ReductionOpInterface>(op))
        op.setAttr("keepdim", builder.getBoolAttr(true));
  }

  rt::KernelOp kernel_;
  llvm::SmallSetVector<Value, 8> values_; ///< of the reduced level
  SmallVector<int64_t> dims_;
  size_t rank_ = 0;
  Dims dropped_;
};

} // namespace

void collapseDims(rt::KernelOp kernel) {
  KeepDims(kernel).run();
  Collapse collapse;
  if (collapse.analyze(kernel))
    collapse.apply();
}

} // namespace rtorch::codegen
