// Every numbered constraint of every op has an invalid test in this folder.
// RUN: %python %S/check_constraints.py --llvm-tblgen llvm-tblgen -I %rtorch_source -I %llvm_include %rtorch_source/dialects/rt/RtOps.td
