// The command rtorch-compile.
#pragma once

namespace rtorch::tools {

/// Runs the command; gives its exit status: 0 done, 1 failed, 2 wrong usage.
int compileCommand(int argc, char **argv);

} // namespace rtorch::tools
