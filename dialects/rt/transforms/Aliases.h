// What passes ask about views and the storages behind them.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::rt {

/// On functions in value form: for each returned tensor the number of the storage that
/// it lies in in eager PyTorch. Equal numbers share memory.
inline constexpr llvm::StringLiteral kResultStorages = "rt.result_storages";
/// The number for storages of arguments and parameters.
inline constexpr int64_t kExternalStorage = -1;

/// The value whose storage `value` aliases: the source at the end of its chain of
/// views.
mlir::Value aliasBase(mlir::Value value);

/// Whether `base` (from aliasBase) is an argument or a parameter, whose storage the
/// caller or the module owns.
bool isExternal(mlir::Value base);

/// Whether two bases are known to share a storage: one value, or parameters with one
/// storage number.
bool shareStorage(mlir::Value a, mlir::Value b);

/// The layout that `view` gives to a source of layout `source`, if it exists without a
/// new guard.
std::optional<layout::Layout> provenViewLayout(ViewOpInterface view,
                                               const layout::Layout &source,
                                               const layout::Guards &guards);

/// Whether both layouts address the same elements, as far as proven: strides of dims
/// of size 1 are not compared.
bool sameAddresses(const layout::Layout &a, const layout::Layout &b,
                   const layout::Guards &guards);

/// `type` with another layout.
TensorType withLayout(TensorType type, const layout::Layout &layout);

/// `view` again on another source of the same sizes, at the builder's insertion point.
/// Where the view does not exist on the source's strides, a row-major copy is put in
/// between.
mlir::Value replayView(mlir::OpBuilder &builder, ViewOpInterface view,
                       mlir::Value source, const layout::Guards &guards);

/// Swaps the last two dims by a view.
mlir::Value transposeMatrices(mlir::OpBuilder &builder, mlir::Location loc,
                              mlir::Value value);

/// The matrix (of rank 2) that `value` is such a view of; null if it is none.
mlir::Value transposedMatrix(mlir::Value value);

/// A row-major copy of `value`, or itself if it is one.
mlir::Value makeRowMajor(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value value);

} // namespace rtorch::rt
