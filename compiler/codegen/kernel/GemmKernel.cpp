// Contractions: the gemm emitter's loops, fed by what the kernel fuses into operands
// and results.
#include "compiler/codegen/gemm/Gemm.h"
#include "compiler/codegen/gemm/ThinProduct.h"
#include "compiler/codegen/kernel/KernelFunction.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// A contraction op seen as [batch] x [m, k] x [k, n].
struct Contraction {
  Operation *op = nullptr;
  Value lhs, rhs, bias;
  bool packed = false;        ///< rhs is packed ahead
  bool rhsTransposed = false; ///< rhs is [n, k]
  /// The result has one column and is computed as a row: rhs^T lhs^T.
  bool swapped = false;
  Dims batch;   ///< leading dims of the result that are looped over
  Dims rowDims; ///< dims that make up the rows
  Expr m, n, k;

  static Contraction of(rt::KernelOp kernel);
};

Contraction Contraction::of(rt::KernelOp kernel) {
  Contraction c;
  for (Operation &op : kernel.getBlock()) {
    if (auto linear = dyn_cast<rt::LinearOp>(op)) {
      c.op = &op, c.lhs = linear.getX(), c.rhs = linear.getWeight(),
      c.bias = linear.getBias();
      c.rhsTransposed = true;
    } else if (auto linear = dyn_cast<rt::PackedLinearOp>(op)) {
      c.op = &op, c.lhs = linear.getX(), c.rhs = linear.getPacked(),
      c.bias = linear.getBias();
      c.packed = true;
    } else if (auto matmul = dyn_cast<rt::MatmulOp>(op)) {
      c.op = &op, c.lhs = matmul.getLhs(), c.rhs = matmul.getRhs();
    }
  }
  Dims sizes = tensorType(c.op->getResult(0)).getSizes();
  c.n = sizes.back();
  c.k = tensorType(c.lhs).getSizes().back();
  // One right operand for all leading dims: they are rows.
  bool oneRight = !isa<rt::MatmulOp>(c.op) || tensorType(c.rhs).getRank() == 2;
  size_t rows = oneRight ? 0 : sizes.size() - 2;
  c.batch.assign(sizes.begin(), sizes.begin() + rows);
  c.rowDims.assign(sizes.begin() + rows, sizes.end() - 1);
  c.m = layout::numel(c.rowDims);
  if (c.n.isConstant(1) && !c.packed && !c.rowDims.empty() && !c.m.isConstant(1)) {
    c.swapped = true;
    c.batch.insert(c.batch.end(), c.rowDims.begin(), c.rowDims.end() - 1);
    c.rowDims.erase(c.rowDims.begin(), c.rowDims.end() - 1);
    c.m = 1, c.n = c.rowDims.back();
  }
  return c;
}

class GemmKernel {
public:
  GemmKernel(KernelState &state, const Contraction &c) : state_(state), c_(c) {}

  const gemm::Blocking &chooseBlocking(const Target &target, int64_t bytes) {
    if (c_.packed)
      return blocking_ = gemm::chooseBlocking(target, bytes, /*packedB=*/true);
    bool alongColumns = rightSource().loadsAlongColumns();
    if (!alongColumns && c_.m.isConstant() && *c_.m.constant() <= gemm::maxThinRows)
      return blocking_ = gemm::chooseThinBlocking(target, bytes);
    blocking_ = gemm::chooseBlocking(target, bytes, /*packedB=*/false);
    gemm::narrowTiles(blocking_, alongColumns, c_.m, c_.n, c_.k);
    return blocking_;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch) {
    gemm::Emitter e(builder, state_.kernel.getLoc());
    Value perBatch = lower(e, gemm::gridSize(blocking_, c_.m, c_.n, c_.k));
    batch_ = split(e, c_.batch, e.div(tile, perBatch));
    gemm::GemmSpec spec;
    spec.elementType = registerType(elementType());
    spec.m = lower(e, c_.m), spec.n = lower(e, c_.n), spec.k = lower(e, c_.k);
    spec.a = c_.swapped ? right(true) : left(false);
    if (c_.packed)
      spec.b =
          gemm::PackedB{state_.buffers[cast<BlockArgument>(c_.rhs).getArgNumber()]};
    else
      spec.b = rightSource();
    spec.store = [this](OpBuilder &b, Location loc, Value row, Value col, Value sums,
                        Value mask) { store(b, loc, row, col, sums, mask); };
    Value inBatch = c_.batch.empty() ? tile : e.rem(tile, perBatch);
    gemm::emitGemmTile(builder, e.loc, spec, blocking_, inBatch, scratch);
  }

private:
  Value lower(gemm::Emitter &e, const Expr &expr) {
    return e.lower(expr, state_.symbols);
  }

  /// Indices of `linear` in dims of sizes `dims`, row-major.
  Indices split(gemm::Emitter &e, const Dims &dims, Value linear) {
    Indices result(dims.size());
    for (size_t i = dims.size(); i-- > 0;) {
      Value size = lower(e, dims[i]);
      result[i] = Index{i ? e.rem(linear, size) : linear};
      if (i)
        linear = e.div(linear, size);
    }
    return result;
  }

  /// The batch's indices into an operand whose leading dims broadcast.
  Indices batchOf(gemm::Emitter &e, TensorType operand) {
    Indices result;
    size_t leading = operand.getRank() - 2;
    for (size_t i = 0; i < leading; ++i) {
      bool one = operand.getSize(i).isConstant(1);
      result.push_back(one ? Index{e.constant(0)}
                           : batch_[batch_.size() - leading + i]);
    }
    return result;
  }

  /// Element (row, k) of the left operand, lanes along either.
  Value loadLeft(OpBuilder &b, Location loc, Value row, Value k, int64_t width,
                 Value mask, bool alongRow) {
    Evaluator values(state_, b, loc, width, mask);
    gemm::Emitter &e = values.emitter();
    bool leading = c_.swapped || isBatched();
    Indices at = leading ? batchOf(e, tensorType(c_.lhs)) : Indices();
    at.append(split(e, c_.rowDims, row));
    if (!alongRow)
      at.back().laneStep = 1;
    at.push_back(Index{k, alongRow ? 1 : 0, {}});
    return values.filledAt(c_.lhs, at);
  }

  /// Element (k, col) of the right operand, lanes along either.
  Value loadRight(OpBuilder &b, Location loc, Value k, Value col, int64_t width,
                  Value mask, bool alongRow) {
    Evaluator values(state_, b, loc, width, mask);
    gemm::Emitter &e = values.emitter();
    Indices at = isBatched() ? batchOf(e, tensorType(c_.rhs)) : Indices();
    Index row{k, alongRow ? 0 : 1, {}}, n{col, alongRow ? 1 : 0, {}};
    at.push_back(c_.rhsTransposed ? n : row);
    at.push_back(c_.rhsTransposed ? row : n);
    return values.filledAt(c_.rhs, at);
  }

  Type elementType() const { return tensorType(c_.op->getResult(0)).getElementType(); }
  bool isBatched() const { return !c_.batch.empty() || isPlainMatmul(); }
  bool isPlainMatmul() const {
    return isa<rt::MatmulOp>(c_.op) && tensorType(c_.rhs).getRank() > 2;
  }

  /// Whether the operand is read straight from memory with stride 1 in `dim`.
  static bool isContiguousIn(Value operand, int64_t dim) {
    return tensorType(operand).getStrides()[dim].isConstant(1);
  }

  using Load = Value (GemmKernel::*)(OpBuilder &, Location, Value, Value, int64_t,
                                     Value, bool);
  /// What `load` gives as a matrix, or the transposed one.
  gemm::MatrixSource source(Load load, bool rowContiguous, bool columnContiguous,
                            bool transposed) {
    gemm::MatrixSource source;
    source.rowContiguous = rowContiguous;
    source.columnContiguous = columnContiguous;
    auto along = [this, load](bool row) {
      return [this, load, row](OpBuilder &b, Location loc, Value i, Value j,
                               int64_t width, Value mask) {
        return (this->*load)(b, loc, i, j, width, mask, row);
      };
    };
    source.alongRow = along(true);
    source.alongColumn = along(false);
    return transposed ? transpose(std::move(source)) : source;
  }

  gemm::MatrixSource rightSource() { return c_.swapped ? left(true) : right(false); }

  gemm::MatrixSource left(bool transposed) {
    int64_t rank = tensorType(c_.lhs).getRank();
    bool column = c_.rowDims.size() == 1 && isContiguousIn(c_.lhs, rank - 2);
    bool row = isContiguousIn(c_.lhs, rank - 1);
    return source(&GemmKernel::loadLeft, row, column, transposed);
  }

  gemm::MatrixSource right(bool transposed) {
    int64_t rank = tensorType(c_.rhs).getRank();
    int64_t k = rank - (c_.rhsTransposed ? 1 : 2),
            n = rank - (c_.rhsTransposed ? 2 : 1);
    bool row = isContiguousIn(c_.rhs, n), column = isContiguousIn(c_.rhs, k);
    // Rows of one element are not worth their name.
    row &= !(column && tensorType(c_.rhs).getSize(n).isConstant(1));
    return source(&GemmKernel::loadRight, row, column, transposed);
  }

  /// The epilogue: everything that the kernel yields, at one vector of the result.
  void store(OpBuilder &b, Location loc, Value row, Value col, Value sums, Value mask) {
    int64_t width = cast<VectorType>(sums.getType()).getNumElements();
    Evaluator values(state_, b, loc, width, mask);
    gemm::Emitter &e = values.emitter();
    Indices at(batch_);
    if (c_.swapped)
      at.append({Index{col, 1, {}}, Index{e.constant(0)}});
    else {
      at.append(split(e, c_.rowDims, row));
      at.push_back(Index{col, 1, {}});
    }
    values.bind(c_.op->getResult(0),
                [this, sums](Evaluator &values, ArrayRef<Index> indices) {
                  FormulaBuilder f(values.emitter().b, values.emitter().loc);
                  Value result = sums;
                  if (c_.bias)
                    result = f.add(sums, values.vectorAt(c_.bias, indices.take_back()));
                  return roundTo(f, result, elementType());
                });
    values.storeResults(at);
  }

  KernelState &state_;
  const Contraction &c_;
  gemm::Blocking blocking_;
  Indices batch_;
};

} // namespace

KernelInfo emitGemmKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  Contraction c = Contraction::of(kernel);
  Type element = registerType(tensorType(c.op->getResult(0)).getElementType());
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  KernelState state;
  state.kernel = kernel;
  GemmKernel gemmKernel(state, c);
  gemm::Blocking blocking = gemmKernel.chooseBlocking(target, bytes);
  emitKernelFunction(builder, symbol, state,
                     [&](OpBuilder &b, Value tile, Value scratch) {
                       gemmKernel.emitTile(b, tile, scratch);
                     });
  KernelInfo info;
  info.grid = gemm::gridSize(blocking, c.m, c.n, c.k) * layout::numel(c.batch);
  info.scratchBytes = gemm::scratchBytes(blocking, c.m, c.n, c.k);
  info.sites = std::move(state.sites);
  return info;
}

} // namespace rtorch::codegen
