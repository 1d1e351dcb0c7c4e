#include "compiler/driver/Pipeline.h"

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/schedule/Passes.h"
#include "dialects/rt/transforms/Passes.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace rtorch::compiler {

void buildGraphPipeline(OpPassManager &pm) { rt::buildValueFormPipeline(pm); }

void buildLayoutPipeline(OpPassManager &pm, const codegen::Target &target,
                         bool winograd) {
  pm.addPass(schedule::createLowerTransposed());
  pm.addPass(schedule::createAssignLayouts());
  schedule::PackConvolutionsOptions pack;
  pack.vectorBytes = target.vectorBytes;
  pack.winograd = winograd;
  pm.addPass(schedule::createPackConvolutions(pack));
  pm.addNestedPass<func::FuncOp>(rt::createCse());
}

void buildSchedulePipeline(OpPassManager &pm, const codegen::Target &target) {
  gemm::RegisterTile tile = gemm::chooseRegisterTile(target, 4);
  schedule::PackWeightsOptions pack;
  pack.vectorBytes = target.vectorBytes;
  pack.panelVectors = tile.vectors;
  pack.kMultiple = gemm::depthGroup;
  pm.addPass(schedule::createPackWeights(pack));
  pm.addPass(schedule::createLowerLoops());
  // Views of one tensor that packing left twice are one operand of a kernel.
  pm.addNestedPass<func::FuncOp>(rt::createCse());
  // Later, it would merge the copies that keep results apart.
  pm.addPass(schedule::createPrepareResults());
  pm.addPass(schedule::createFormKernels());
  pm.addPass(schedule::createPlanMemory());
}

void dumpAfter(PassManager &pm, std::vector<std::string> names) {
  if (names.empty())
    return;
  pm.getContext()->disableMultithreading();
  pm.enableIRPrinting([](Pass *, Operation *) { return false; },
                      [names](Pass *pass, Operation *) {
                        return llvm::is_contained(names, pass->getArgument());
                      },
                      /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/false);
}

} // namespace rtorch::compiler
