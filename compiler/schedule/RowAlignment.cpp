#include "compiler/schedule/RowAlignment.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
namespace {

/// Along this dim the value is the same, or of size 1.
constexpr int64_t kAny = -1;
/// For each dim of a value the dim of the domain that it runs along, or kAny.
using DimMap = SmallVector<int64_t>;

class RowAlignment {
public:
  RowAlignment(Operation *root, const Dims &domain, ArrayRef<int64_t> reduced)
      : root_(root), domain_(domain), reduced_(reduced) {}

  bool follow(Operation *producer) {
    visit(producer->getResult(0), mapOfRowOp(producer));
    while (aligned_ && !worklist_.empty()) {
      auto [value, map] = worklist_.pop_back_val();
      for (OpOperand &use : value.getUses())
        if (!isa<rt::ReturnOp>(use.getOwner()))
          followUse(use, map);
    }
    return aligned_;
  }

private:
  /// What of the domain is left over in a row op's result.
  DimMap mapOfRowOp(Operation *op) const {
    auto reduction = dyn_cast<rt::ReductionOpInterface>(op);
    int64_t rank = domain_.size();
    bool keeps = !reduction || tensorType(op->getResult(0)).getRank() == rank;
    DimMap map;
    for (int64_t dim = 0; dim < rank; ++dim) {
      bool isReduced = reduction && llvm::is_contained(reduced_, dim);
      if (!isReduced || keeps)
        map.push_back(isReduced ? kAny : dim);
    }
    return map;
  }

  /// The map where a value is broadcast, aligned to the right, to `rank` dims.
  static DimMap broadcast(Value value, const DimMap &map, int64_t rank) {
    DimMap result(rank - map.size(), kAny);
    for (auto [dim, from] : llvm::enumerate(map))
      result.push_back(tensorType(value).getSize(dim).isConstant(1) ? kAny : from);
    return result;
  }

  void followUse(OpOperand &use, const DimMap &map) {
    Operation *op = use.getOwner();
    if (isa<rt::WriteOp>(op)) {
      check(map);
      return;
    }
    Value result = op->getResult(0);
    DimMap next = map;
    if (auto unsqueeze = dyn_cast<rt::UnsqueezeOp>(op)) {
      next.insert(next.begin() + unsqueeze.getDim(), kAny);
    } else if (auto squeeze = dyn_cast<rt::SqueezeOp>(op)) {
      for (int64_t dim : llvm::reverse(squeeze.getDims()))
        if (tensorType(use.get()).getSize(dim).isConstant(1))
          next.erase(next.begin() + dim);
    } else if (isa<rt::ReductionOpInterface, rt::SoftmaxOp, rt::LogSoftmaxOp,
                   rt::LayerNormOp>(op)) {
      check(map);
      next = mapOfRowOp(op);
    } else {
      next = broadcast(use.get(), map, tensorType(result).getRank());
    }
    if (next.size() != static_cast<size_t>(tensorType(result).getRank())) {
      aligned_ = false;
      return;
    }
    visit(result, next);
  }

  void visit(Value value, const DimMap &map) {
    if (tensorType(value).getSizes() == domain_ || value.getDefiningOp() == root_)
      check(map);
    SmallVector<DimMap> &known = seen_[value];
    if (!aligned_ || value.getDefiningOp() == root_ || llvm::is_contained(known, map))
      return;
    known.push_back(map);
    worklist_.push_back({value, map});
  }

  /// Whole elements of the domain have its dims in place; what is there once a row has
  /// them in place, too, or without the reduced ones.
  void check(const DimMap &map) {
    DimMap rows;
    for (int64_t dim = 0; dim < static_cast<int64_t>(domain_.size()); ++dim)
      if (!llvm::is_contained(reduced_, dim))
        rows.push_back(dim);
    bool isRowOnly = map.size() != domain_.size();
    for (auto [dim, from] : llvm::enumerate(map)) {
      int64_t wanted = isRowOnly && dim < rows.size() ? rows[dim] : int64_t(dim);
      aligned_ &= from == kAny || from == wanted;
    }
    aligned_ &= !isRowOnly || map.size() == rows.size();
  }

  Operation *root_;
  Dims domain_;
  ArrayRef<int64_t> reduced_;
  bool aligned_ = true;
  SmallVector<std::pair<Value, DimMap>> worklist_;
  llvm::DenseMap<Value, SmallVector<DimMap>> seen_;
};

} // namespace

bool alignsWithRows(Operation *producer, Operation *root, const Dims &domain,
                    ArrayRef<int64_t> reduced) {
  return RowAlignment(root, domain, reduced).follow(producer);
}

} // namespace rtorch::schedule
