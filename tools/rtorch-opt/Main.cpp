// rtorch-opt: runs passes of the rt dialect on textual IR, for tests and debugging.
#include "compiler/schedule/Passes.h"
#include "dialects/rt/transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry
      .insert<rtorch::rt::RtDialect, mlir::func::FuncDialect, mlir::arith::ArithDialect,
              mlir::math::MathDialect, mlir::scf::SCFDialect,
              mlir::vector::VectorDialect, mlir::LLVM::LLVMDialect>();
  rtorch::rt::registerRtPasses();
  rtorch::rt::registerPipelines();
  rtorch::schedule::registerRtorchSchedulePasses();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "rtorch dialect passes\n", registry));
}
