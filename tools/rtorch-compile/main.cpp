#include "tools/rtorch-compile/Command.h"

int main(int argc, char **argv) { return rtorch::tools::compileCommand(argc, argv); }
