// Changes of a value's layout in the value form, where strides are the compiler's own.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::schedule {

/// The type with other strides and no offset.
rt::TensorType withStrides(rt::TensorType type, const layout::Dims &strides);

/// Strides with the channels (dim 1) innermost and the other dims as they are; for any
/// rank of 2 or more.
layout::Dims channelsLastStrides(const layout::Dims &sizes);

/// Whether neighbouring channels (dim 1) of an activation are neighbours in memory.
bool hasInnerChannels(rt::TensorType type);

/// Uses of `value` take `replacement`, a tensor of the same sizes with another layout,
/// instead. Views of it follow; where a view does not exist without a copy, or a result
/// of the program is concerned, they are taken of one copy in the old layout. Gives the
/// ops that such copies were made for.
llvm::SmallVector<mlir::Operation *> replaceLayout(mlir::Value value,
                                                   mlir::Value replacement);

/// Gives the result of an op another layout.
llvm::SmallVector<mlir::Operation *> changeLayout(mlir::Value value,
                                                  const layout::Dims &strides);

} // namespace rtorch::schedule
