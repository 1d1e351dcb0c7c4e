// Checks of one call against what the module states. Allocates only for errors.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/core/Value.h"
#include "runtime/executor/ShapePlan.h"
#include "runtime/format/Manifest.h"

#include <span>

namespace rtorch::executor {

/// Checks number, kinds, dtypes and ranks of the arguments and the values of constant
/// ones, then reads the symbols and checks their ranges. Codes: ArgumentCount,
/// ArgumentKind, ArgumentDtype, ArgumentValue, LayoutRank, LayoutSize, LayoutRange.
core::Status readSymbols(const format::Manifest &manifest,
                         std::span<const core::Value> arguments,
                         std::span<int64_t> symbols);

/// Checks symbol values that a caller states. Codes: LayoutRange.
core::Status checkSymbolRanges(const format::Manifest &manifest,
                               std::span<const int64_t> symbols);

/// Checks sizes of tensors and values of integers. Codes: LayoutSize, ArgumentValue.
core::Status checkSizes(const format::Manifest &manifest, const ShapePlan &plan,
                        std::span<const core::Value> arguments);

/// Checks strides, null pointers and alignment of one tensor argument. Strides of
/// dimensions of size 1, and all of a tensor without elements, address nothing and are
/// not compared. Codes: LayoutStride, LayoutAlignment, ArgumentNull.
core::Status checkPlacement(const format::Manifest &manifest, const ShapePlan &plan,
                            size_t index, const core::TensorView &tensor);

/// Checks a caller's memory for a result. Codes as above.
core::Status checkResultBuffer(const format::Manifest &manifest, const ShapePlan &plan,
                               size_t index, const core::Value &buffer);

/// "argument 2 'mask'"
std::string argumentName(const format::Manifest &manifest, size_t index);
std::string resultName(const format::Manifest &manifest, size_t index);

} // namespace rtorch::executor
