"""How lit runs the .mlir tests; loaded by the lit.site.cfg.py that CMake writes."""

import os
import sys

import lit.formats

config.name = "rtorch"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.rtorch_binary_dir, "tests", "lit", "out")

# rtorch-opt and rtorch-compile of this build first, FileCheck and not of LLVM 22 next.
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.rtorch_binary_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]]
)
# What tests that read the dialect's sources need.
config.substitutions += [
    ("%python", sys.executable),
    ("%rtorch_source", config.rtorch_source_dir),
    ("%llvm_include", os.path.join(os.path.dirname(config.llvm_tools_dir), "include")),
]
