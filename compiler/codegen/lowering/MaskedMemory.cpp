#include "compiler/codegen/lowering/MaskedMemory.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

/// The parts of one access: `count` of `lanes` elements each.
struct Parts {
  OpBuilder &b;
  Location loc;
  VectorType type; ///< of a part
  int64_t count;

  Value of(Value vector, int64_t part) const {
    int64_t lanes = type.getNumElements();
    return vector::ExtractStridedSliceOp::create(b, loc, vector, {part * lanes},
                                                 {lanes}, {1});
  }
  Value address(Value pointer, int64_t part) const {
    int32_t element = static_cast<int32_t>(part * type.getNumElements());
    return LLVM::GEPOp::create(b, loc, pointer.getType(), type.getElementType(),
                               pointer, ArrayRef<LLVM::GEPArg>{element});
  }
};

/// How an access of a vector is split; nothing for one that fits, or is no power of
/// two.
std::optional<Parts> partsOf(OpBuilder &b, Operation *op, Type type, int64_t bytes) {
  auto vector = dyn_cast<VectorType>(type);
  if (!vector || vector.getRank() != 1 || !vector.getElementType().isIntOrFloat())
    return std::nullopt;
  int64_t bits = vector.getElementTypeBitWidth(), lanes = vector.getNumElements();
  int64_t fitting = bytes * 8 / bits;
  if (fitting < 1 || lanes <= fitting || lanes % fitting)
    return std::nullopt;
  return Parts{b, op->getLoc(), VectorType::get(fitting, vector.getElementType()),
               lanes / fitting};
}

void splitLoad(LLVM::MaskedLoadOp load, int64_t bytes) {
  OpBuilder b(load);
  std::optional<Parts> parts = partsOf(b, load, load.getType(), bytes);
  if (!parts)
    return;
  Value whole = load.getPassThru();
  for (int64_t part = 0; part < parts->count; ++part) {
    Value piece = LLVM::MaskedLoadOp::create(
        b, parts->loc, parts->type, parts->address(load.getData(), part),
        parts->of(load.getMask(), part), parts->of(load.getPassThru(), part),
        load.getAlignment());
    whole = vector::InsertStridedSliceOp::create(
        b, parts->loc, piece, whole, {part * parts->type.getNumElements()}, {1});
  }
  load.replaceAllUsesWith(whole);
  load.erase();
}

void splitStore(LLVM::MaskedStoreOp store, int64_t bytes) {
  OpBuilder b(store);
  std::optional<Parts> parts = partsOf(b, store, store.getValue().getType(), bytes);
  if (!parts)
    return;
  for (int64_t part = 0; part < parts->count; ++part)
    LLVM::MaskedStoreOp::create(b, parts->loc, parts->of(store.getValue(), part),
                                parts->address(store.getData(), part),
                                parts->of(store.getMask(), part), store.getAlignment());
  store.erase();
}

} // namespace

void splitMaskedMemory(ModuleOp module, int64_t vectorBytes) {
  module.walk([&](Operation *op) {
    if (auto load = dyn_cast<LLVM::MaskedLoadOp>(op))
      splitLoad(load, vectorBytes);
    else if (auto store = dyn_cast<LLVM::MaskedStoreOp>(op))
      splitStore(store, vectorBytes);
  });
}

} // namespace rtorch::codegen
