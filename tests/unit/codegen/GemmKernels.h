// Whole kernels around emitGemmTile and emitAttentionTile, for tests and benchmarks.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <optional>
#include <string>

namespace rtorch::test {

/// Which direction of a matrix has stride 1.
enum class Order { Row, Column, Neither };

enum class Epilogue {
  None,
  BiasSilu, ///< silu(sums + bias[col])
  Residual, ///< sums + residual[row][col], strides as of C
};

/// A kernel of the module ABI that computes C = epilogue(A B).
///
/// Buffers: A, B, C, bias or residual. Values: m, n, k, A's row and column stride, B's
/// row and column stride, C's row stride (its column stride is 1).
struct ProductKernel {
  bool isDouble = false;
  std::optional<int64_t> m, n, k; ///< fixed sizes; absent: read from the frame
  Order a = Order::Row;
  Order b = Order::Row; ///< unless blocking.packedB
  Epilogue epilogue = Epilogue::None;
  gemm::Blocking blocking;

  int64_t elementBytes() const { return isDouble ? 8 : 4; }
  /// Adds the kernel to `module` under `name`.
  void addTo(mlir::ModuleOp module, llvm::StringRef name) const;
};

/// A kernel that packs B [k, n] ahead. Buffers: B, packed. Values: k, n, B's row and
/// column stride.
void addPackKernel(mlir::ModuleOp module, llvm::StringRef name,
                   const gemm::Blocking &blocking, Order order);

mlir::OwningOpRef<mlir::ModuleOp> emptyModule(mlir::MLIRContext &context);

} // namespace rtorch::test
