// rt.attention with pointwise ops on its result, through the attention emitter.
#include "compiler/codegen/gemm/Attention.h"
#include "compiler/codegen/kernel/KernelFunction.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;

namespace rtorch::codegen {
using rt::TensorType;
using rt::tensorType;
namespace {

class AttentionKernel {
public:
  AttentionKernel(KernelState &state, rt::AttentionOp op,
                  gemm::AttentionBlocking blocking)
      : state_(state), op_(op), blocking_(blocking), query_(tensorType(op.getQuery())) {
    Dims sizes = query_.getSizes();
    leading_.assign(sizes.begin(), sizes.end() - 2);
  }

  KernelInfo info() const {
    KernelInfo info;
    info.grid = gemm::attentionGridSize(blocking_, layout::numel(leading_), queries());
    info.scratchBytes = gemm::attentionScratchBytes(blocking_, queries(), keys(),
                                                    headSize(), valueSize());
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch) {
    gemm::Emitter e(builder, state_.kernel.getLoc());
    gemm::AttentionSpec spec;
    spec.elementType = registerType(query_.getElementType());
    spec.queries = lower(e, queries()), spec.keys = lower(e, keys());
    spec.headSize = lower(e, headSize()), spec.valueSize = lower(e, valueSize());
    FormulaBuilder f(builder, e.loc);
    spec.scale = f.constant(spec.elementType, op_.getScale().convertToDouble());
    spec.causal = op_.getCausal();
    spec.nanRows = op_.getNanRows();
    spec.q = source(op_.getQuery(), false);
    spec.k = source(op_.getKey(), op_.getGrouped());
    spec.v = source(op_.getValue(), op_.getGrouped());
    if (op_.getMask())
      spec.score = [this](OpBuilder &b, Location loc, Value batchHead, Value row,
                          Value col, Value scores, Value mask) {
        return addMask(b, loc, batchHead, row, col, scores, mask);
      };
    spec.store = [this](OpBuilder &b, Location loc, Value batchHead, Value row,
                        Value col, Value values, Value mask) {
      store(b, loc, batchHead, row, col, values, mask);
    };
    gemm::emitAttentionTile(builder, e.loc, spec, blocking_, tile, scratch);
  }

private:
  Expr queries() const { return query_.getSize(query_.getRank() - 2); }
  Expr headSize() const { return query_.getSize(query_.getRank() - 1); }
  Expr keys() const { return tensorType(op_.getKey()).getSize(query_.getRank() - 2); }
  Expr valueSize() const {
    return tensorType(op_.getValue()).getSize(query_.getRank() - 1);
  }
  Value lower(gemm::Emitter &e, const Expr &expr) const {
    return e.lower(expr, state_.symbols);
  }

  /// The leading indices of the result for (batch, head) number `batchHead`.
  Indices leadingIndices(gemm::Emitter &e, Value batchHead) const {
    Indices result(leading_.size());
    for (size_t i = leading_.size(); i-- > 0;) {
      Value size = lower(e, leading_[i]);
      result[i] = Index{i ? e.rem(batchHead, size) : batchHead};
      if (i)
        batchHead = e.div(batchHead, size);
    }
    return result;
  }

  /// The same for an operand that broadcasts, or whose heads serve several queries'.
  Indices operandIndices(gemm::Emitter &e, TensorType operand, const Indices &result,
                         bool grouped) const {
    Indices indices;
    size_t count = operand.getRank() - 2;
    for (size_t i = 0; i < count; ++i) {
      Index index = result[result.size() - count + i];
      if (operand.getSize(i).isConstant(1))
        index = Index{e.constant(0)};
      else if (grouped && i + 1 == count) {
        Value heads = lower(e, leading_.back());
        Value perHead = e.div(heads, lower(e, operand.getSize(i)));
        index = Index{e.div(index.base, perHead)};
      }
      indices.push_back(index);
    }
    return indices;
  }

  gemm::BatchedSource source(Value operand, bool grouped) {
    return [this, operand, grouped](OpBuilder &b, Location loc, Value batchHead) {
      gemm::Emitter e(b, loc);
      TensorType type = tensorType(operand);
      Indices leading = operandIndices(e, type, leadingIndices(e, batchHead), grouped);
      gemm::MatrixSource matrix;
      Dims strides = type.getStrides();
      matrix.rowContiguous = strides.back().isConstant(1);
      matrix.columnContiguous = strides[strides.size() - 2].isConstant(1);
      auto load = [this, operand, leading](OpBuilder &b, Location loc, Value row,
                                           Value col, int64_t width, Value mask,
                                           bool alongRow) {
        Evaluator values(state_, b, loc, width, mask);
        Indices at = leading;
        at.push_back(Index{row, alongRow ? 0 : 1, {}});
        at.push_back(Index{col, alongRow ? 1 : 0, {}});
        return values.filledAt(operand, at);
      };
      matrix.alongRow = [load](OpBuilder &b, Location loc, Value row, Value col,
                               int64_t width, Value mask) {
        return load(b, loc, row, col, width, mask, true);
      };
      matrix.alongColumn = [load](OpBuilder &b, Location loc, Value row, Value col,
                                  int64_t width, Value mask) {
        return load(b, loc, row, col, width, mask, false);
      };
      return matrix;
    };
  }

  Value addMask(OpBuilder &b, Location loc, Value batchHead, Value row, Value col,
                Value scores, Value mask) {
    int64_t width = cast<VectorType>(scores.getType()).getNumElements();
    Evaluator values(state_, b, loc, width, mask);
    gemm::Emitter &e = values.emitter();
    TensorType type = tensorType(op_.getMask());
    // The mask broadcasts to [leading..., queries, keys].
    Indices full = leadingIndices(e, batchHead);
    full.push_back(Index{row});
    full.push_back(Index{col, 1, {}});
    Indices at;
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      at.push_back(type.getSize(dim).isConstant(1)
                       ? Index{e.constant(0)}
                       : full[full.size() - type.getRank() + dim]);
    Value value = values.filledAt(op_.getMask(), at);
    FormulaBuilder f(b, loc);
    if (type.getElementType().isInteger(1))
      return f.select(value, scores, f.lowest(scores.getType()));
    return f.add(scores, value);
  }

  void store(OpBuilder &b, Location loc, Value batchHead, Value row, Value col,
             Value result, Value mask) {
    int64_t width = cast<VectorType>(result.getType()).getNumElements();
    Evaluator values(state_, b, loc, width, mask);
    Indices at = leadingIndices(values.emitter(), batchHead);
    at.push_back(Index{row});
    at.push_back(Index{col, 1, {}});
    values.bind(op_.getResult(), [this, result](Evaluator &values, ArrayRef<Index>) {
      FormulaBuilder f(values.emitter().b, values.emitter().loc);
      return roundTo(f, result, query_.getElementType());
    });
    values.storeResults(at);
  }

  KernelState &state_;
  mutable rt::AttentionOp op_; // a handle: its accessors are not const
  gemm::AttentionBlocking blocking_;
  TensorType query_;
  Dims leading_;
};

} // namespace

KernelInfo emitAttentionKernel(OpBuilder &builder, rt::KernelOp kernel,
                               StringRef symbol, const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::AttentionOp>().begin();
  Type element = registerType(tensorType(op.getResult()).getElementType());
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  return emitKernelOf<AttentionKernel>(builder, kernel, symbol, op,
                                       gemm::chooseAttentionBlocking(target, bytes));
}

} // namespace rtorch::codegen
