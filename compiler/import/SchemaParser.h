// PyTorch's schema notation, e.g. "(Tensor(a) self, int dim=0, *, bool x=False) ->
// Tensor".
#pragma once

#include "compiler/import/SchemaTable.h"

#include <string_view>

namespace rtorch::importer {

/// Parses arguments and returns of the op `name`; the result refers to both texts.
/// Fails on anything that the notation does not have: the table then has to be looked
/// at.
archive::Result<OpSchema> parseSchema(std::string_view name, std::string_view text);

} // namespace rtorch::importer
