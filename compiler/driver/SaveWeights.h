// The weights of a program as a file of their own.
#pragma once

#include "compiler/emit/ModuleBuilder.h"
#include "compiler/import/Graph.h"

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace rtorch::compiler {

/// The program's parameters and buffers by name. Fails for a dtype that modules lack.
llvm::Expected<std::vector<emit::ExternalWeights::Weight>>
weightsOf(const importer::Program &program);

/// Writes them to a checkpoint; tied ones become aliases. A file that holds them
/// already is left as it is, since others may have it mapped.
llvm::Error saveWeights(const importer::Program &program, const std::string &path);

} // namespace rtorch::compiler
