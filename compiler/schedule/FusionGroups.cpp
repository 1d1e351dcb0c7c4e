#include "compiler/schedule/FusionGroups.h"

#include "compiler/schedule/RowAlignment.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::rt::tensorType;
using Kind = rtorch::schedule::FusionGroup::Kind;

namespace rtorch::schedule {

bool isFree(Operation *op) {
  return isa<rt::ViewOpInterface, rt::ParameterOp, rt::FullOp, rt::PackOp, rt::BufferOp,
             rt::LoopOp, rt::IfOp, rt::NextOp, rt::ReturnOp>(op);
}

namespace {

bool isContraction(Operation *op) {
  return isa<rt::LinearOp, rt::PackedLinearOp, rt::MatmulOp, rt::ConvolutionOp,
             rt::PackedConvolutionOp, rt::AttentionOp>(op);
}

/// Whole tensors are walked in an order of their own.
bool isWhole(Operation *op) { return isa<rt::ScanOp, rt::SortOp, rt::ScatterOp>(op); }

bool isRowOp(Operation *op) {
  return isa<rt::ReductionOpInterface, rt::SoftmaxOp, rt::LogSoftmaxOp,
             rt::LayerNormOp>(op);
}

/// Costs about as much as loading its result would.
bool isCheap(Operation *op) {
  return isa<rt::AddOp, rt::SubOp, rt::MulOp, rt::NegOp, rt::AbsOp, rt::MaximumOp,
             rt::MinimumOp, rt::ReluOp, rt::ConvertOp, rt::WhereOp, rt::EqOp, rt::NeOp,
             rt::LtOp, rt::LeOp, rt::GtOp, rt::GeOp, rt::LogicalNotOp, rt::BitwiseAndOp,
             rt::BitwiseOrOp, rt::BitwiseXorOp, rt::BitwiseNotOp, rt::CloneOp,
             rt::IotaOp, rt::IndexOp, rt::PadOp, rt::IsNanOp, rt::IsInfOp>(op);
}

/// Computed from numbers and positions alone, by a few integer operations.
bool isPositional(Operation *op) {
  if (!isa<rt::FloorDivideOp>(op) ||
      !tensorType(op->getResult(0)).getElementType().isInteger(64))
    return false;
  auto divisor = op->getOperand(1).getDefiningOp<rt::FullOp>();
  return divisor && op->getOperand(0).getDefiningOp<rt::IotaOp>();
}

/// Reads the producer's elements at the index that it computes, broadcasting aside.
bool keepsIndices(Operation *op) {
  return isa<rt::PointwiseOpInterface, rt::CloneOp, rt::ExpandOp, rt::UnsqueezeOp,
             rt::SqueezeOp>(op) ||
         isRowOp(op);
}

/// Views that the evaluator can follow.
bool isFusableView(Operation *op) {
  return isa<rt::ExpandOp, rt::UnsqueezeOp, rt::SqueezeOp, rt::PermuteOp, rt::SelectOp,
             rt::SliceOp, rt::UnfoldOp>(op);
}

bool movesIndices(Operation *view) {
  return isa<rt::PermuteOp, rt::SelectOp, rt::SliceOp, rt::UnfoldOp>(view);
}

SmallVector<int64_t> reducedDims(Operation *op) {
  if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op))
    return SmallVector<int64_t>(reduction.getReducedDims());
  if (auto softmax = dyn_cast<rt::SoftmaxOp>(op))
    return {static_cast<int64_t>(softmax.getDim())};
  if (auto softmax = dyn_cast<rt::LogSoftmaxOp>(op))
    return {static_cast<int64_t>(softmax.getDim())};
  auto norm = cast<rt::LayerNormOp>(op);
  SmallVector<int64_t> dims;
  int64_t rank = tensorType(norm.getX()).getRank();
  for (int64_t dim = rank - norm.getNormalizedDims(); dim < rank; ++dim)
    dims.push_back(dim);
  return dims;
}

/// Sizes that a reduction of `domain` has, with and without kept dims.
bool isReducedShape(const Dims &sizes, const Dims &domain, ArrayRef<int64_t> reduced) {
  Dims kept = domain, dropped;
  for (int64_t dim = 0; dim < static_cast<int64_t>(domain.size()); ++dim)
    if (llvm::is_contained(reduced, dim))
      kept[dim] = 1;
    else
      dropped.push_back(domain[dim]);
  return sizes == kept || sizes == dropped;
}

/// `domain` with a last dim of 1: the value is the same along a row, so that it is
/// computed once for each.
bool isOnceARow(const Dims &sizes, const Dims &domain) {
  Dims row = domain;
  if (!row.empty())
    row.back() = 1;
  return sizes == row;
}

/// The uses of a value, through views.
struct Uses {
  SmallVector<Operation *> ops;   // kernels' ops that read it
  SmallVector<Operation *> views; // views in between
  bool escapes = false;           // it is a result of the program

  explicit Uses(Value value) : block(value.getParentBlock()) { collect(value); }

private:
  void collect(Value value) {
    for (Operation *user : value.getUsers()) {
      // Bodies of loops and branches have kernels of their own.
      if (isa<rt::ReturnOp, rt::PackOp, rt::LoopOp, rt::IfOp>(user) ||
          user->getBlock() != block)
        escapes = true;
      else if (isa<rt::ViewOpInterface>(user)) {
        views.push_back(user);
        collect(user->getResult(0));
      } else if (auto write = dyn_cast<rt::WriteOp>(user);
                 write && write.getTarget() == value)
        escapes = true;
      else
        ops.push_back(user);
    }
  }

  Block *block;
};

/// Writes memory that a loop or branch hands on. What reads the same buffer reads
/// another part of it: no order between the two is needed.
bool writesBuffer(Operation *op) {
  auto write = dyn_cast<rt::WriteOp>(op);
  return write && viewRoot(write.getTarget()).getDefiningOp<rt::BufferOp>();
}

bool isSeenThroughWindows(const Uses &uses) {
  return llvm::any_of(uses.views,
                      [](Operation *op) { return isa<rt::UnfoldOp>(op); }) ||
         llvm::any_of(uses.ops, [](Operation *op) {
           return isa<rt::PadOp>(op) &&
                  llvm::any_of(op->getUsers(),
                               [](Operation *user) { return isa<rt::UnfoldOp>(user); });
         });
}

/// The largest window that a convolution reduces itself: its pixels share a register
/// tile.
constexpr int64_t kMaxPooled = 4;

/// What `reduction` reduces, if that is windows side by side that it sees through
/// `rt.unfold`; else null.
Value behindWindows(Operation *reduction) {
  Value value = reduction->getOperand(0);
  int64_t rank = tensorType(value).getRank(), windows = 0, count = 1;
  llvm::SmallDenseSet<int64_t> dims;
  while (auto unfold = value.getDefiningOp<rt::UnfoldOp>()) {
    int64_t size = *tensorType(value).getSizes().back().constant();
    int64_t extent = (size - 1) * static_cast<int64_t>(unfold.getDilation()) + 1;
    int64_t dim = unfold.getDim();
    if (dim < 2 || size < 1 || !dims.insert(dim).second ||
        static_cast<int64_t>(unfold.getStep()) < extent)
      return {};
    count *= size, ++windows;
    value = unfold.getSource();
  }
  auto last = llvm::to_vector(llvm::seq<int64_t>(rank - windows, rank));
  bool all = windows > 0 && reducedDims(reduction) == last &&
             tensorType(reduction->getResult(0)).getRank() == rank - windows;
  return all && count <= kMaxPooled ? value : Value();
}

/// Whether `convolution` computes all pixels of each window of `windows` at one time:
/// Winograd's kernel has those of two by two.
bool hasPixelsTogether(rt::PackedConvolutionOp convolution, Value windows) {
  if (!convolution.getWinograd())
    return true;
  int64_t count = 0;
  while (auto unfold = windows.getDefiningOp<rt::UnfoldOp>()) {
    if (!tensorType(windows).getSizes().back().isConstant(2) || unfold.getStep() != 2 ||
        unfold.getDilation() != 1)
      return false;
    ++count;
    windows = unfold.getSource();
  }
  return count == 2;
}

/// The convolution that `op` computes, or is the end of a chain of pointwise ops on
/// nothing else's result.
Operation *convolutionBehind(Operation *op) {
  while (!isa<rt::PackedConvolutionOp>(op)) {
    if (!isa<rt::PointwiseOpInterface>(op))
      return nullptr;
    Operation *next = nullptr;
    for (Value operand : op->getOperands()) {
      Operation *producer = operand.getDefiningOp();
      if (!isa_and_nonnull<rt::PointwiseOpInterface, rt::PackedConvolutionOp>(producer))
        continue;
      if (next || !operand.hasOneUse() ||
          tensorType(operand).getSizes() != tensorType(op->getResult(0)).getSizes())
        return nullptr;
      next = producer;
    }
    if (!next)
      return nullptr;
    op = next;
  }
  return op;
}

class Grouping {
public:
  explicit Grouping(Block &block);
  std::vector<FusionGroup> take();

private:
  size_t newGroup(Operation *op);
  bool joinWrites(Operation *op);
  void tryMerge(Operation *producer);
  bool canMerge(Operation *producer, const Uses &uses, const FusionGroup &group) const;
  bool canMergeMap(Operation *producer, const Uses &uses,
                   const FusionGroup &group) const;
  bool canMergeRow(Operation *producer, const FusionGroup &group) const;
  /// The convolution that `producer` ends, if the group may reduce windows of it.
  Operation *pooledConvolution(Operation *producer, const Uses &uses,
                               const FusionGroup &group) const;
  bool canMergeContraction(Operation *producer, const Uses &uses,
                           const FusionGroup &group) const;
  /// Whether everything between `producer` and the group's result keeps indices.
  bool reachesRootInPlace(Operation *producer, const FusionGroup &group) const;
  bool readsMutated(Operation *op) const;

  std::vector<FusionGroup> groups_;
  size_t firstJoinable_ = 0; // groups from here on stand behind no loop or branch
  llvm::DenseMap<Operation *, size_t> groupOf_;
  llvm::DenseMap<Operation *, size_t> order_;
  llvm::DenseSet<Value> mutated_; // roots that the program writes to
};

Grouping::Grouping(Block &block) {
  SmallVector<Operation *> ops;
  for (Operation &op : block) {
    order_[&op] = order_.size();
    if (auto write = dyn_cast<rt::WriteOp>(op))
      if (!writesBuffer(write))
        mutated_.insert(viewRoot(write.getTarget()));
    if (!isFree(&op) || op.getNumRegions())
      ops.push_back(&op);
  }
  for (Operation *op : llvm::reverse(ops)) {
    if (op->getNumRegions())
      firstJoinable_ = groups_.size();
    else
      tryMerge(op);
  }
}

/// Joins a write of a buffer to a group of such writes of equal sizes, between the same
/// loops and branches.
bool Grouping::joinWrites(Operation *op) {
  if (!writesBuffer(op))
    return false;
  for (size_t i = firstJoinable_; i < groups_.size(); ++i) {
    FusionGroup &group = groups_[i];
    if (!llvm::all_of(group.ops, writesBuffer) ||
        group.domain != tensorType(op->getOperand(0)).getSizes())
      continue;
    group.ops.push_back(op);
    groupOf_[op] = i;
    return true;
  }
  return false;
}

size_t Grouping::newGroup(Operation *op) {
  FusionGroup group;
  group.ops.push_back(op);
  if (isa<rt::WriteOp>(op)) {
    group.kind = Kind::Write;
    group.domain = tensorType(op->getOperand(0)).getSizes();
  } else {
    group.domain = tensorType(op->getResult(0)).getSizes();
  }
  if (isContraction(op))
    group.kind = Kind::Contraction;
  if (isWhole(op))
    group.kind = Kind::Whole;
  if (isRowOp(op)) {
    group.kind = Kind::Row;
    group.domain = tensorType(op->getOperand(0)).getSizes();
    group.reduced = reducedDims(op);
  }
  groups_.push_back(std::move(group));
  return groups_.size() - 1;
}

bool Grouping::readsMutated(Operation *op) const {
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    return mutated_.contains(viewRoot(operand));
  });
}

void Grouping::tryMerge(Operation *producer) {
  if (joinWrites(producer))
    return;
  if (producer->getNumResults() == 1) {
    Uses uses(producer->getResult(0));
    if (!uses.escapes && !uses.ops.empty()) {
      size_t target = groupOf_.lookup(uses.ops.front());
      bool one = llvm::all_of(
          uses.ops, [&](Operation *op) { return groupOf_.lookup(op) == target; });
      FusionGroup &group = groups_[target];
      Operation *pooled = one ? pooledConvolution(producer, uses, group) : nullptr;
      if (pooled || (one && canMerge(producer, uses, group))) {
        if (pooled)
          group.pooled = pooled;
        group.movesIndices |= llvm::any_of(uses.views, movesIndices);
        if (isRowOp(producer)) {
          group.kind = Kind::Row;
          group.domain = tensorType(producer->getOperand(0)).getSizes();
          group.reduced = reducedDims(producer);
        } else if (isContraction(producer)) {
          group.kind = Kind::Contraction;
        }
        group.ops.push_back(producer);
        groupOf_[producer] = target;
        return;
      }
    }
  }
  groupOf_[producer] = newGroup(producer);
}

bool Grouping::reachesRootInPlace(Operation *producer, const FusionGroup &group) const {
  SmallVector<Operation *> worklist{producer};
  llvm::DenseSet<Operation *> seen;
  Operation *root = group.ops.front(); // groups grow from their result backwards
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val();
    if (op == root)
      continue;
    for (Operation *user : op->getUsers()) {
      bool view = isa<rt::ViewOpInterface>(user);
      if (!view && groupOf_.lookup(user) != groupOf_.lookup(root))
        return false;
      if (!keepsIndices(user) && !isa<rt::WriteOp>(user))
        return false;
      if (user->getNumResults() && seen.insert(user).second)
        worklist.push_back(user);
    }
  }
  return true;
}

bool Grouping::canMerge(Operation *producer, const Uses &uses,
                        const FusionGroup &group) const {
  if (!llvm::all_of(uses.views, isFusableView))
    return false;
  // A write changes memory that these would still read.
  if (group.kind == Kind::Write && readsMutated(producer))
    return false;
  if (isa<rt::ScatterViewOp>(producer) || isa<rt::ScatterViewOp>(group.ops.front()))
    return false;
  if (isWhole(producer))
    return false;
  if (group.kind == Kind::Whole)
    return isCheap(producer) && !isSeenThroughWindows(uses);
  if (isContraction(producer))
    return canMergeContraction(producer, uses, group);
  if (isRowOp(producer))
    return canMergeRow(producer, group);
  return canMergeMap(producer, uses, group);
}

Operation *Grouping::pooledConvolution(Operation *producer, const Uses &uses,
                                       const FusionGroup &group) const {
  if (group.kind != Kind::Row)
    return nullptr;
  Operation *convolution = convolutionBehind(producer);
  if (group.pooled || !convolution)
    return convolution == group.pooled ? convolution : nullptr;
  bool oneReduction = llvm::count_if(group.ops, isRowOp) == 1 && uses.ops.size() == 1 &&
                      isa<rt::ReductionOpInterface>(uses.ops.front()) &&
                      !group.movesIndices;
  if (!oneReduction || behindWindows(uses.ops.front()) != producer->getResult(0) ||
      !hasPixelsTogether(cast<rt::PackedConvolutionOp>(convolution),
                         uses.ops.front()->getOperand(0)))
    return nullptr;
  return convolution;
}

bool Grouping::canMergeMap(Operation *producer, const Uses &uses,
                           const FusionGroup &group) const {
  for (Operation *user : uses.ops)
    if (isContraction(user) || isa<rt::ScatterViewOp>(user))
      return false;
  // Windows overlap: what they see would be computed for each of them.
  if (isSeenThroughWindows(uses) && !isa<rt::PadOp>(producer))
    return false;
  bool moves = llvm::any_of(uses.views, [](Operation *view) {
    return movesIndices(view) && !isa<rt::UnfoldOp>(view);
  });
  if (moves && group.kind != Kind::Map && group.kind != Kind::Write)
    return false;
  if (isa<rt::CatOp>(producer) && group.kind != Kind::Map)
    return false;
  if (isCheap(producer) || isPositional(producer))
    return true;
  // Anything else is computed once: its uses must not repeat it.
  Dims sizes = tensorType(producer->getResult(0)).getSizes();
  bool indexed =
      llvm::any_of(uses.ops, [](Operation *user) { return isa<rt::IndexOp>(user); });
  if (indexed)
    return false;
  return sizes == group.domain || isOnceARow(sizes, group.domain) ||
         (group.kind == Kind::Row &&
          isReducedShape(sizes, group.domain, group.reduced));
}

bool Grouping::canMergeRow(Operation *producer, const FusionGroup &group) const {
  if (group.movesIndices || group.pooled || !reachesRootInPlace(producer, group))
    return false;
  Dims domain = tensorType(producer->getOperand(0)).getSizes();
  SmallVector<int64_t> reduced = reducedDims(producer);
  if (!alignsWithRows(producer, group.ops.front(), domain, reduced))
    return false;
  if (group.kind == Kind::Row)
    return group.domain == domain && group.reduced == reduced;
  if (group.kind != Kind::Map && group.kind != Kind::Write)
    return false;
  return group.domain == domain || (isa<rt::ReductionOpInterface>(producer) &&
                                    isReducedShape(group.domain, domain, reduced));
}

bool Grouping::canMergeContraction(Operation *producer, const Uses &uses,
                                   const FusionGroup &group) const {
  if (group.kind != Kind::Map && group.kind != Kind::Write)
    return false;
  return uses.views.empty() &&
         tensorType(producer->getResult(0)).getSizes() == group.domain &&
         llvm::all_of(uses.ops,
                      [&](Operation *user) {
                        return isa<rt::PointwiseOpInterface, rt::CloneOp, rt::WriteOp>(
                            user);
                      }) &&
         reachesRootInPlace(producer, group);
}

std::vector<FusionGroup> Grouping::take() {
  for (FusionGroup &group : groups_)
    llvm::sort(group.ops,
               [&](Operation *a, Operation *b) { return order_[a] < order_[b]; });
  llvm::sort(groups_, [&](const FusionGroup &a, const FusionGroup &b) {
    return order_[a.root()] < order_[b.root()];
  });
  return std::move(groups_);
}

} // namespace

std::vector<FusionGroup> formGroups(Block &block) { return Grouping(block).take(); }

} // namespace rtorch::schedule
