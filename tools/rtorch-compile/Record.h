// What a compilation leaves in the experiment store.
#pragma once

#include "compiler/include/rtorch/compiler.h"
#include "runtime/include/rtorch/record.hpp"

namespace rtorch::tools {

/// What is known before: the model, the options, versions.
record::Fields factsOfCompile(const std::string &input, const std::string &output,
                              const std::string &emit,
                              const compiler::Options &options);
/// What the report tells, or the error.
record::Fields resultsOfCompile(const compiler::Report &report,
                                const std::string &error);

} // namespace rtorch::tools
