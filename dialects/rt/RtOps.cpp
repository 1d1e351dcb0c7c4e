#include "dialects/rt/OpVerifiers.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace rtorch::rt;

#define GET_OP_CLASSES
#include "dialects/rt/RtOps.cpp.inc"
