// Symbols that only strides of inputs have.
#pragma once

#include "compiler/import/Graph.h"

namespace rtorch::importer {

/// Where dynamic sizes meet inputs that are not dense, the exporter makes strides
/// symbols of their own, which no size determines. They become the exported example's
/// numbers: the contract then asks for these strides, as it does for those of other
/// inputs.
void pinStrideSymbols(Program &program);

} // namespace rtorch::importer
