// What a report says about one run.
#pragma once

#include "runtime/store/RunFile.h"

#include <string>

namespace rtorch::tools {

/// "2: net (compile)": how a report calls its `index`-th run.
std::string runName(const store::RunFile &run, size_t index);

/// A section of HTML with the id "run-<index>".
std::string runSection(const store::RunFile &run, size_t index);

} // namespace rtorch::tools
