// A program as text, for comparison with what PyTorch holds.
#pragma once

#include "compiler/import/Graph.h"

#include <string>

/// The text form that make_archives.py prints from PyTorch's own objects. The program's
/// arguments must be complete (completeArguments).
std::string dumpProgram(const rtorch::importer::Program &program);
