// The user's source lines in the stack traces that nodes carry.
#pragma once

#include "compiler/import/Graph.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rtorch::importer {

/// One `File "x.py", line 3, in forward` of a trace, with the code line that follows.
/// `file` is as written in the trace.
struct TraceFrame {
  SourceLocation location;
  /// Neither in torch nor in an installed package.
  bool isUser = false;
};

/// The frames of a Python stack trace, outermost first; what is not a frame is skipped.
std::vector<TraceFrame> parseStackTrace(std::string_view trace);

/// The innermost frame of the user, or else the innermost one.
std::optional<SourceLocation> chooseFrame(const std::vector<TraceFrame> &frames);

/// The longest folder that all files are in, with a slash at its end; empty if there is
/// none. `common` is nullopt before the first file.
void extendCommonFolder(std::optional<std::string> &common, std::string_view file);

/// `file` relative to `folder` if it lies in it; the path inside the package folder for
/// an installed package's file; else unchanged.
std::string relativeFile(std::string_view file, std::string_view folder);

} // namespace rtorch::importer
