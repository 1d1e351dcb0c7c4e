// Shorthand for the operations that kernels are made of: i64 arithmetic that folds,
// typed memory access through pointers, counted loops.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "runtime/layout/Expr.h"

#include <map>
#include <optional>
#include <string>

namespace rtorch::gemm {

/// The constant behind an i64 value, if it is one.
std::optional<int64_t> constantOf(mlir::Value value);

/// Emits operations at the insertion point of a borrowed builder. All integers are
/// i64 and sizes and indices are not negative; arithmetic on constants folds.
class Emitter {
public:
  Emitter(mlir::OpBuilder &builder, mlir::Location loc) : b(builder), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  mlir::Value constant(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, int64_t y) { return add(x, constant(y)); }
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, int64_t y) { return mul(x, constant(y)); }
  /// Quotient and remainder of values that are not negative, the divisor positive.
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value rem(mlir::Value x, mlir::Value y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value roundUp(mlir::Value x, int64_t multiple);
  mlir::Value roundDown(mlir::Value x, int64_t multiple);
  mlir::Value equal(mlir::Value x, mlir::Value y);
  mlir::Value less(mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  /// Rebuilds an expression over symbols that `symbols` gives values for.
  mlir::Value lower(const layout::Expr &expr,
                    const std::map<std::string, mlir::Value> &symbols);

  /// The address of element `index`, where elements have `type`.
  mlir::Value address(mlir::Type type, mlir::Value pointer, mlir::Value index);
  mlir::Value address(mlir::Type type, mlir::Value pointer, int64_t index);
  /// A load or store of a scalar or vector, aligned as the element type is.
  mlir::Value load(mlir::Type type, mlir::Value pointer);
  void store(mlir::Value value, mlir::Value pointer);
  /// Masked-off lanes are 0 and are not accessed; a null mask means all lanes.
  mlir::Value load(mlir::VectorType type, mlir::Value pointer, mlir::Value mask);
  void store(mlir::Value value, mlir::Value pointer, mlir::Value mask);

  mlir::Value zero(mlir::Type type);
  mlir::Value splat(mlir::VectorType type, double value);
  mlir::Value broadcast(int64_t width, mlir::Value scalar);
  /// vector<width x i1>: lane < count. `count` may exceed the width.
  mlir::Value laneMask(int64_t width, mlir::Value count);
  mlir::Value shuffle(mlir::Value x, mlir::Value y, llvm::ArrayRef<int64_t> lanes);
  mlir::Value slice(mlir::Value vector, int64_t offset, int64_t width);

  /// for (i = lower; i < upper; i += step); a loop known to run once is unrolled.
  void loop(mlir::Value lower, mlir::Value upper, int64_t step,
            llvm::function_ref<void(mlir::Value)> body);
  void loop(mlir::Value upper, llvm::function_ref<void(mlir::Value)> body) {
    loop(constant(0), upper, 1, body);
  }
  /// As `loop`, with values that go from one round to the next; gives the last ones.
  llvm::SmallVector<mlir::Value>
  loop(mlir::Value lower, mlir::Value upper, int64_t step, mlir::ValueRange initial,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)>
           body);
  /// A branch; only one side is emitted where the condition is constant.
  void branch(mlir::Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = {});
};

} // namespace rtorch::gemm
