// Which convolutions are computed by minimal filtering, and the transform of their
// filters.
#pragma once

#include "compiler/schedule/TensorBuilder.h"

namespace rtorch::schedule {

/// Whether F(2 x 2, 3 x 3) pays for `op`, whose input has the strides of `x`: it takes
/// 16 multiplications for 36, but transforms inputs and results, and reads filters of
/// 16 numbers for 9. Results round differently, by as much as those of the sum over
/// all taps do; an infinite or NaN input makes NaN of all pixels of the windows that
/// see it, two by two, where the sum would give some of them an infinity.
bool paysWinograd(rt::ConvolutionOp op, mlir::Value x);

/// G g G' of each filter g of `weight` [outputs, channels, 3, 3]: [.., 4, 4]. The dims
/// `flipped` of g are read in reverse order.
mlir::Value winogradFilters(TensorBuilder &t, mlir::Value weight,
                            llvm::ArrayRef<int64_t> flipped = {});

} // namespace rtorch::schedule
