// A compilation's report for people and for scripts.
#pragma once

#include "compiler/include/rtorch/compiler.h"

#include <string>

namespace rtorch::tools {

std::string reportText(const compiler::Report &report, const std::string &output);
std::string reportJson(const compiler::Report &report, const std::string &output);

} // namespace rtorch::tools
