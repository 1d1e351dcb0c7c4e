#include "tests/unit/codegen/GemmKernels.h"

#include "compiler/codegen/gemm/Emitter.h"
#include "compiler/codegen/gemm/Gemm.h"
#include "tests/unit/codegen/KernelFunction.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace rtorch::test {

using gemm::Emitter;

namespace {

gemm::MatrixSource matrix(Emitter &e, const KernelFrame &frame, Type type,
                          Value pointer, Order order, int64_t firstStride) {
  Value row = order == Order::Column ? e.constant(1) : frame.value(firstStride);
  Value column = order == Order::Row ? e.constant(1) : frame.value(firstStride + 1);
  return gemm::stridedSource(type, pointer, row, column);
}

Value silu(Emitter &e, Value x) {
  auto type = cast<VectorType>(x.getType());
  Value negative = arith::NegFOp::create(e.b, e.loc, x);
  Value exponential = math::ExpOp::create(e.b, e.loc, negative);
  Value denominator =
      arith::AddFOp::create(e.b, e.loc, exponential, e.splat(type, 1.0));
  return arith::DivFOp::create(e.b, e.loc, x, denominator);
}

/// The sums with the epilogue applied, stored to C.
gemm::StoreFn storeWith(Epilogue epilogue, Type type, Value c, Value rowStride,
                        Value extra) {
  gemm::StoreFn plain = gemm::rowMajorStore(c, rowStride);
  return [=](OpBuilder &b, Location loc, Value row, Value col, Value sums, Value mask) {
    Emitter e(b, loc);
    auto vector = cast<VectorType>(sums.getType());
    if (epilogue == Epilogue::BiasSilu) {
      Value bias = e.load(vector, e.address(type, extra, col), mask);
      sums = silu(e, arith::AddFOp::create(b, loc, sums, bias));
    } else if (epilogue == Epilogue::Residual) {
      Value index = e.add(e.mul(row, rowStride), col);
      Value residual = e.load(vector, e.address(type, extra, index), mask);
      sums = arith::AddFOp::create(b, loc, sums, residual);
    }
    plain(b, loc, row, col, sums, mask);
  };
}

} // namespace

void ProductKernel::addTo(ModuleOp module, StringRef name) const {
  addKernelFunction(
      module, name, [this](const KernelFrame &frame, Emitter &e) -> TileBody {
        gemm::GemmSpec spec;
        spec.elementType = isDouble ? Type(e.b.getF64Type()) : e.b.getF32Type();
        spec.m = frame.size(m, 0);
        spec.n = frame.size(n, 1);
        spec.k = frame.size(k, 2);
        spec.a = matrix(e, frame, spec.elementType, frame.buffer(0), a, 3);
        Value right = frame.buffer(1);
        if (blocking.packedB)
          spec.b = gemm::PackedB{right};
        else
          spec.b = matrix(e, frame, spec.elementType, right, b, 5);
        spec.store = storeWith(epilogue, spec.elementType, frame.buffer(2),
                               frame.value(7), frame.buffer(3));
        gemm::Blocking rules = blocking;
        return [spec, rules](Emitter &e, Value tile, Value scratch) {
          gemm::emitGemmTile(e.b, e.loc, spec, rules, tile, scratch);
        };
      });
}

void addPackKernel(ModuleOp module, StringRef name, const gemm::Blocking &blocking,
                   Order order) {
  addKernelFunction(
      module, name, [&](const KernelFrame &frame, Emitter &e) -> TileBody {
        Type type =
            blocking.elementBytes == 8 ? Type(e.b.getF64Type()) : e.b.getF32Type();
        gemm::MatrixSource source = matrix(e, frame, type, frame.buffer(0), order, 2);
        Value packed = frame.buffer(1), k = frame.value(0), n = frame.value(1);
        return [=](Emitter &e, Value tile, Value) {
          gemm::emitPackTile(e.b, e.loc, type, blocking, source, k, n, tile, packed);
        };
      });
}

OwningOpRef<ModuleOp> emptyModule(MLIRContext &context) {
  return ModuleOp::create(UnknownLoc::get(&context));
}

} // namespace rtorch::test
