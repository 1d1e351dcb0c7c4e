#include "compiler/codegen/gemm/MatrixSource.h"

#include "compiler/codegen/gemm/Emitter.h"

#include <numeric>

using namespace mlir;

namespace rtorch::gemm {
namespace {

/// `width` elements, `stride` apart, from `start` on.
Value gather(Emitter &e, Type type, Value start, Value stride, int64_t width,
             Value mask) {
  SmallVector<int64_t> lanes(width);
  std::iota(lanes.begin(), lanes.end(), 0);
  Value lane = arith::ConstantOp::create(e.b, e.loc, e.b.getI64VectorAttr(lanes));
  Value offsets = arith::MulIOp::create(e.b, e.loc, lane, e.broadcast(width, stride));
  auto pointers = VectorType::get(width, start.getType());
  Value addresses =
      LLVM::GEPOp::create(e.b, e.loc, pointers, type, start, ValueRange{offsets});
  if (!mask)
    mask = arith::ConstantOp::create(
        e.b, e.loc,
        DenseElementsAttr::get(VectorType::get(width, e.b.getI1Type()), true));
  auto vector = VectorType::get(width, type);
  return LLVM::masked_gather::create(e.b, e.loc, vector, addresses, mask,
                                     ValueRange{e.zero(vector)},
                                     type.getIntOrFloatBitWidth() / 8);
}

/// Loads along the direction whose stride is `along`.
LoadFn stridedLoad(Type type, Value pointer, Value rowStride, Value columnStride,
                   Value along) {
  bool contiguous = constantOf(along) == 1;
  return [=](OpBuilder &b, Location loc, Value row, Value col, int64_t width,
             Value mask) -> Value {
    Emitter e(b, loc);
    Value index = e.add(e.mul(row, rowStride), e.mul(col, columnStride));
    Value start = e.address(type, pointer, index);
    if (contiguous)
      return e.load(VectorType::get(width, type), start, mask);
    return gather(e, type, start, along, width, mask);
  };
}

} // namespace

MatrixSource stridedSource(Type type, Value pointer, Value rowStride,
                           Value columnStride) {
  MatrixSource source;
  source.alongRow = stridedLoad(type, pointer, rowStride, columnStride, columnStride);
  source.alongColumn = stridedLoad(type, pointer, rowStride, columnStride, rowStride);
  source.rowContiguous = constantOf(columnStride) == 1;
  source.columnContiguous = constantOf(rowStride) == 1;
  return source;
}

StoreFn rowMajorStore(Value pointer, Value rowStride) {
  return [=](OpBuilder &b, Location loc, Value row, Value col, Value sums, Value mask) {
    Emitter e(b, loc);
    Type type = getElementTypeOrSelf(sums.getType());
    Value index = e.add(e.mul(row, rowStride), col);
    e.store(sums, e.address(type, pointer, index), mask);
  };
}

MatrixSource transpose(MatrixSource source) {
  auto swap = [](LoadFn load) -> LoadFn {
    if (!load)
      return load;
    return [load](OpBuilder &b, Location loc, Value row, Value col, int64_t width,
                  Value mask) { return load(b, loc, col, row, width, mask); };
  };
  return {swap(source.alongColumn), swap(source.alongRow), source.columnContiguous,
          source.rowContiguous};
}

} // namespace rtorch::gemm
