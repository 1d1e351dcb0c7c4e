#include "tests/unit/codegen/AttentionKernels.h"

#include "compiler/codegen/gemm/Emitter.h"
#include "tests/unit/codegen/KernelFunction.h"

#include <limits>

using namespace mlir;

namespace rtorch::test {

using gemm::Emitter;

namespace {

/// Matrix number `batchHead` of a contiguous [_, rows, columns] tensor.
gemm::BatchedSource batched(Type type, Value pointer, Value rows, Value columns,
                            bool transposed) {
  return [=](OpBuilder &b, Location loc, Value batchHead) {
    Emitter e(b, loc);
    Value start = e.address(type, pointer, e.mul(batchHead, e.mul(rows, columns)));
    if (transposed)
      return gemm::stridedSource(type, start, e.constant(1), rows);
    return gemm::stridedSource(type, start, columns, e.constant(1));
  };
}

gemm::BatchedStore batchedStore(Type type, Value pointer, Value rows, Value columns) {
  return [=](OpBuilder &b, Location loc, Value batchHead, Value row, Value col,
             Value values, Value mask) {
    Emitter e(b, loc);
    Value index = e.add(e.mul(e.add(e.mul(batchHead, rows), row), columns), col);
    e.store(values, e.address(type, pointer, index), mask);
  };
}

gemm::ScoreFn scoreWith(ScoreMask kind, Type type, Value pointer, Value keys) {
  if (kind == ScoreMask::None)
    return {};
  return [=](OpBuilder &b, Location loc, Value, Value row, Value col, Value scores,
             Value mask) -> Value {
    Emitter e(b, loc);
    auto vector = cast<VectorType>(scores.getType());
    Value index = e.add(e.mul(row, keys), col);
    if (kind == ScoreMask::Additive)
      return arith::AddFOp::create(
          b, loc, scores, e.load(vector, e.address(type, pointer, index), mask));
    Type i8 = b.getI8Type();
    auto bytes = VectorType::get(vector.getShape(), i8);
    Value visible = e.load(bytes, e.address(i8, pointer, index), mask);
    Value on =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, visible, e.zero(bytes));
    return e.select(on, scores,
                    e.splat(vector, -std::numeric_limits<double>::infinity()));
  };
}

} // namespace

void AttentionKernel::addTo(ModuleOp module, StringRef name) const {
  addKernelFunction(
      module, name, [this](const KernelFrame &frame, Emitter &e) -> TileBody {
        gemm::AttentionSpec spec;
        Type type = isDouble ? Type(e.b.getF64Type()) : e.b.getF32Type();
        spec.elementType = type;
        spec.queries = frame.size(queries, 0);
        spec.keys = frame.size(keys, 1);
        spec.headSize = frame.size(headSize, 2);
        spec.valueSize = frame.size(valueSize, 3);
        spec.scale =
            arith::ConstantOp::create(e.b, e.loc, e.b.getFloatAttr(type, scale));
        spec.q = batched(type, frame.buffer(0), spec.queries, spec.headSize, false);
        spec.k =
            batched(type, frame.buffer(1), spec.keys, spec.headSize, transposedKeys);
        spec.v = batched(type, frame.buffer(2), spec.keys, spec.valueSize, false);
        spec.causal = causal;
        spec.score = scoreWith(mask, type, frame.buffer(4), spec.keys);
        spec.store = batchedStore(type, frame.buffer(3), spec.queries, spec.valueSize);
        gemm::AttentionBlocking rules = blocking;
        return [spec, rules](Emitter &e, Value tile, Value scratch) {
          gemm::emitAttentionTile(e.b, e.loc, spec, rules, tile, scratch);
        };
      });
}

} // namespace rtorch::test
