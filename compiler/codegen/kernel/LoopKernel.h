// The kernel of pointwise chains, data movement and reductions.
#pragma once

#include "compiler/codegen/kernel/KernelFunction.h"
#include "compiler/codegen/kernel/LoopNest.h"
#include "compiler/codegen/kernel/Stages.h"

namespace rtorch::codegen {

/// Emits loops over rows, vectors along the lane dim. Reductions make stages: each
/// stage walks the row once, later stages use the results of earlier ones.
class LoopKernel {
public:
  /// Places and lanes of a tile whose operands are read across their cache lines: what
  /// it touches stays in the first-level cache.
  static constexpr int64_t kSquareTile = 64;

  LoopKernel(KernelState &state, const LoopNest &nest, const Stages &stages)
      : state_(state), nest_(nest), stages_(stages) {
    findPads();
  }

  KernelInfo info();
  void emitTile(mlir::OpBuilder &builder, mlir::Value tile, mlir::Value scratch);

private:
  void emitPointwiseTile(gemm::Emitter &e, mlir::Value tile);
  void emitRow(gemm::Emitter &e, mlir::Value row, mlir::Value laneStart,
               mlir::Value laneEnd);
  /// Emits rows whose lanes are not reduced, several vectors of lanes at a time.
  void emitColumns(gemm::Emitter &e, const Indices &position, mlir::Value laneStart,
                   mlir::Value laneEnd);
  /// Everything of the row at each of `positions`, which are neighbours.
  void emitStages(gemm::Emitter &e, llvm::ArrayRef<Indices> positions,
                  mlir::Value mask);
  void emitAllStages(gemm::Emitter &e, llvm::ArrayRef<Indices> positions,
                     mlir::Value mask);

  void findPads();
  /// Whether all that the reductions see at `positions` lies inside the padded tensors.
  mlir::Value liesInside(gemm::Emitter &e, llvm::ArrayRef<Indices> positions);
  /// Reduces every value of one stage over the row at `position`.
  void emitStage(gemm::Emitter &e, size_t stage, const Indices &position,
                 mlir::Value mask);
  void bindResults(llvm::ArrayRef<mlir::Operation *> reductions,
                   mlir::ValueRange results);
  void emitOutputs(gemm::Emitter &e, const Indices &position, mlir::Value mask);
  /// Stores the yielded values of one level: per element of the domain, or per row.
  void storeOutputs(Evaluator &evaluator, const Indices &indices, bool reducedLevel);

  /// Loops over the lanes [start, end) of the lane dim, a vector at a time.
  void forLanes(gemm::Emitter &e, mlir::Value start, mlir::Value end,
                llvm::function_ref<void(mlir::Value lane, mlir::Value mask)> body);
  Indices delinearize(gemm::Emitter &e, Indices position, llvm::ArrayRef<int64_t> dims,
                      mlir::Value linear);
  Evaluator evaluator(gemm::Emitter &e, mlir::Value mask);
  Index laneIndex(mlir::Value lane) const {
    return {lane, nest_.width > 1 ? 1 : 0, {}};
  }

  /// Accumulates `values` over the row; gives them combined over lanes if those are
  /// reduced.
  llvm::SmallVector<mlir::Value> reduceRow(gemm::Emitter &e,
                                           llvm::ArrayRef<mlir::Operation *> reductions,
                                           llvm::ArrayRef<Indices> positions,
                                           mlir::Value mask, size_t stage);
  llvm::SmallVector<mlir::Value>
  accumulate(gemm::Emitter &e, llvm::ArrayRef<mlir::Operation *> reductions,
             llvm::ArrayRef<Indices> positions, mlir::Value mask,
             llvm::SmallVector<mlir::Value> neutral, size_t stage);
  using Step =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value> sumLoop(gemm::Emitter &e,
                                         llvm::ArrayRef<mlir::Operation *> reductions,
                                         mlir::Value end, int64_t by,
                                         mlir::ValueRange initial,
                                         mlir::ValueRange neutral, Step body);
  /// Adds the elements at some places to partial results.
  using LaneStep = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      llvm::ArrayRef<Indices>, mlir::Value mask, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value>
  reduceLanes(gemm::Emitter &e, llvm::ArrayRef<mlir::Operation *> reductions,
              const Indices &at, mlir::ValueRange partial, mlir::ValueRange neutral,
              LaneStep step);
  mlir::Value combineLanes(gemm::Emitter &e, mlir::Operation *reduction,
                           mlir::Value lanes);
  /// Partial results that a walk along the lanes keeps.
  int64_t sumsSideBySide() const;
  /// Up to so many steps over a window are written out.
  static constexpr int64_t kUnrolledWindow = 64;
  /// Whether the window at `places` places is short enough to write out all steps.
  bool isShortWindow(int64_t places) const {
    if (!nest_.windows || nest_.lanesReduced() || (!pads_.empty() && !inside_))
      return false;
    std::optional<int64_t> terms = nest_.product(nest_.reducedOuter).constant();
    return terms && *terms * places <= kUnrolledWindow;
  }

  void emitTransposedTile(gemm::Emitter &e, mlir::Value row, mlir::Value laneStart,
                          mlir::Value laneEnd);
  /// What a square covers: `rows` places from `along` on, `lanes` of them from `lane`
  /// on.
  struct Square {
    Indices position; ///< of the outer dims
    mlir::Value along, lane;
    mlir::Value rows, lanes; ///< null: as many as a vector has
  };
  void emitSquare(gemm::Emitter &e, const Square &square);
  void readSquare(gemm::Emitter &e, const Square &square, size_t i, unsigned number);
  Indices squarePlace(gemm::Emitter &e, const Square &square, mlir::Value along,
                      mlir::Value lane);
  /// Makes row `row` of a transposed argument's square known at `at`.
  void bindSquare(gemm::Emitter &e, size_t square, unsigned number, const Indices &at,
                  mlir::Value row);
  mlir::Value squareAddress(gemm::Emitter &e, size_t square, mlir::Type vector,
                            mlir::Value row);
  int64_t squareBytes() const { return nest_.width * nest_.width * 8; }
  mlir::Value scratchAddress(Evaluator &evaluator, size_t buffer,
                             const Indices &indices);
  layout::Expr rowElements() const;

  KernelState &state_;
  const LoopNest &nest_;
  const Stages &stages_;
  mlir::Value scratch_;
  llvm::DenseMap<mlir::Value, Evaluator::Binding> bindings_;
  Evaluator::Pads pads_; ///< that windows look through
  bool inside_ = false;  ///< the code being emitted runs where windows are inside
};

} // namespace rtorch::codegen
