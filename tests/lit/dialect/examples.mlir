// The example in every op's description parses, verifies, and prints as it parses.
// RUN: %python %S/print_examples.py --llvm-tblgen llvm-tblgen -I %rtorch_source -I %llvm_include %rtorch_source/dialects/rt/RtOps.td > %t.mlir
// RUN: rtorch-opt --split-input-file %t.mlir > %t.once.mlir
// RUN: rtorch-opt --split-input-file %t.once.mlir | diff %t.once.mlir -
// RUN: FileCheck %s < %t.once.mlir

// CHECK: rt.abs
// CHECK: rt.write
