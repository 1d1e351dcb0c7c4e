// PyTorch's export JSON (schema 8) to the plain graph.
#pragma once

#include "compiler/import/Graph.h"
#include "runtime/archive/Error.h"

#include <filesystem>
#include <string_view>

namespace rtorch::importer {

/// Opens a .pt2 archive and reads the program `name` (the only one if empty), with its
/// payloads in place. Every name, type, size and integer is checked; an error names the
/// file and the place in it.
archive::Result<Program> readProgram(const std::filesystem::path &path,
                                     std::string_view name = {});

/// Reads the JSON of an ExportedProgram without payloads (the Python backend hands
/// tensors over separately).
archive::Result<Program> readProgramJson(std::string_view json, std::string_view name);

} // namespace rtorch::importer
