// Computes values of a kernel's body at an index: the heart of fusion. Nothing in a
// kernel is stored unless asked for; a value is the formula of its operands' values at
// the indices that it needs, down to loads of the kernel's buffers.
#pragma once

#include "compiler/codegen/gemm/Emitter.h"
#include "dialects/rt/Rt.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallVector.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rtorch::codegen {

/// The index of one dim for all lanes of a vector: `base + laneStep * lane`, or an
/// index of its own for each lane (`lanes`, vector<width x i64>), where indices are
/// data.
struct Index {
  mlir::Value base;
  int64_t laneStep = 0;
  mlir::Value lanes = {};

  bool isUniform() const { return !lanes && laneStep == 0; }
  bool operator==(const Index &) const = default;
};
using Indices = llvm::SmallVector<Index, 4>;

/// Up to this many elements between lanes, everything that lies between them is read.
constexpr int64_t kShortStep = 4;

/// A place where a kernel can fail, in the order of the numbers that it returns.
struct ErrorSiteInfo {
  std::string message;
  mlir::Location loc;
};

/// What stays the same throughout a kernel function.
struct KernelState {
  rt::KernelOp kernel;
  /// Base pointers of the kernel's arguments, then of its results.
  llvm::SmallVector<mlir::Value> buffers;
  std::map<std::string, mlir::Value> symbols;
  /// An i32 in memory: the number of the error site that was hit, or 0.
  mlir::Value error;
  std::vector<ErrorSiteInfo> sites;
};

/// Evaluates values at indices, `width` lanes at once; lanes that `mask` (null: none)
/// turns off are neither loaded nor may they raise errors.
class Evaluator {
public:
  Evaluator(KernelState &state, mlir::OpBuilder &builder, mlir::Location loc,
            int64_t width, mlir::Value mask)
      : state_(state), e_(builder, loc), width_(width), mask_(mask) {}

  /// The elements of `value`: a scalar where they are the same in all lanes, else a
  /// vector<width>, of `registerType`.
  mlir::Value at(mlir::Value value, llvm::ArrayRef<Index> indices);
  /// The same as a vector in any case (a scalar if width is 1).
  mlir::Value vectorAt(mlir::Value value, llvm::ArrayRef<Index> indices);

  /// The same as a vector even of one lane, and 0 in the lanes that are turned off:
  /// what the contraction emitters ask of their operands.
  mlir::Value filledAt(mlir::Value value, llvm::ArrayRef<Index> indices);

  /// Makes `value` known: `at` returns what `read` gives instead of computing it.
  using Binding = std::function<mlir::Value(Evaluator &, llvm::ArrayRef<Index>)>;
  void bind(mlir::Value value, Binding read) { bindings_[value] = std::move(read); }
  void setBindings(const llvm::DenseMap<mlir::Value, Binding> &bindings) {
    bindings_ = bindings;
  }

  /// Pads whose elements are all known to be in the source at the indices that follow.
  using Pads = llvm::SmallPtrSet<mlir::Operation *, 2>;
  void setInsidePads(const Pads &pads) { insidePads_ = pads; }

  /// Stores elements of a buffer whose type is `type`.
  void store(mlir::Value vector, rt::TensorType type, mlir::Value buffer,
             llvm::ArrayRef<Index> indices);
  mlir::Value load(rt::TensorType type, mlir::Value buffer,
                   llvm::ArrayRef<Index> indices);
  /// Stores everything that the kernel yields at one index of the result.
  void storeResults(llvm::ArrayRef<Index> indices);

  /// The place that the element of `index` at `indices` (or of their broadcast) gives
  /// in a dim of `size`; raises an error at `loc` outside of it.
  Index checkedIndex(mlir::Value index, const layout::Expr &size,
                     llvm::ArrayRef<Index> indices, bool wraps, mlir::Location loc);

  gemm::Emitter &emitter() { return e_; }
  int64_t width() const { return width_; }
  mlir::Value mask() const { return mask_; }
  mlir::Value lower(const layout::Expr &expr) { return e_.lower(expr, state_.symbols); }
  /// A vector of `x`'s element type.
  mlir::Value broadcast(mlir::Value x);

  /// Where the elements of a view lie in its source; nullopt where indices do not map
  /// one by one.
  std::optional<Indices> mapView(rt::ViewOpInterface op, llvm::ArrayRef<Index> indices);
  /// Indices of an operand of sizes `operand` for `indices` into what it broadcasts to.
  Indices broadcastIndices(rt::TensorType operand, llvm::ArrayRef<Index> indices);

private:
  mlir::Value compute(mlir::Operation *op, llvm::ArrayRef<Index> indices);
  mlir::Value pointwise(mlir::Operation *op, llvm::ArrayRef<Index> indices);
  mlir::Value view(rt::ViewOpInterface op, llvm::ArrayRef<Index> indices);
  mlir::Value index(rt::IndexOp op, llvm::ArrayRef<Index> indices);
  /// The elements of an integer tensor as an affine function of the lanes, if `value`
  /// is rt.iota seen through views.
  std::optional<Index> affineAt(mlir::Value value, llvm::ArrayRef<Index> indices);
  mlir::Value pad(rt::PadOp op, llvm::ArrayRef<Index> indices);
  mlir::Value cat(rt::CatOp op, llvm::ArrayRef<Index> indices);
  mlir::Value full(rt::FullOp op);
  /// The number in an attribute, as an element of dtype `stored`.
  mlir::Value constant(mlir::Attribute value, mlir::Type stored);
  mlir::Value iota(rt::IotaOp op, llvm::ArrayRef<Index> indices);
  /// Runs `body` for the lanes where `condition` holds; the others get zeros.
  mlir::Value where(mlir::Value condition, mlir::Type elementType,
                    llvm::function_ref<mlir::Value()> body);

  Index addTo(const Index &index, mlir::Value offset);
  Index add(const Index &a, const Index &b);
  Index scale(const Index &index, int64_t factor);
  /// The index per lane: i64, or vector<width x i64>.
  mlir::Value materialize(const Index &index);
  void raiseIf(mlir::Value condition, llvm::StringRef message, mlir::Location loc);
  /// Element offset of lane 0, and how lanes differ.
  Index linearize(rt::TensorType type, llvm::ArrayRef<Index> indices);

  KernelState &state_;
  gemm::Emitter e_;
  int64_t width_;
  mlir::Value mask_;
  llvm::DenseMap<mlir::Value, Binding> bindings_;
  Pads insidePads_;
  struct Known {
    mlir::Value value;
    Indices indices;
    mlir::Value mask;
    mlir::Value result;
    mlir::Block *block;
  };
  std::vector<Known> known_;
};

/// The first op of a kernel's body that none of the strategies can emit; null if there
/// is none.
mlir::Operation *findUnsupported(rt::KernelOp kernel);

/// The type that elements have in memory: integers for bool (i8), f16 and bf16 (i16),
/// so that code generation never computes in them.
mlir::Type memoryType(mlir::Type elementType);

/// The type that elements are computed in: f32 for f16 and bf16, i32 for uint8, else
/// the element type.
mlir::Type registerType(mlir::Type elementType);

/// Rounds (integers: wraps) a value in registers to what memory can hold, as eager does
/// between any two ops.
mlir::Value roundTo(rt::FormulaBuilder f, mlir::Value value, mlir::Type elementType);

} // namespace rtorch::codegen
