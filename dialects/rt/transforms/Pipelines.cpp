#include "dialects/rt/transforms/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace rtorch::rt {

static void addVerification(OpPassManager &functions, GraphForm form) {
  VerifyLayoutsOptions options;
  options.form = form;
  functions.addPass(createVerifyLayouts(options));
}

void buildValueFormPipeline(OpPassManager &pm) {
  OpPassManager &functions = pm.nest<func::FuncOp>();
  // Phase 1: what the program is. Ends with immutable values.
  addVerification(functions, GraphForm::Imported);
  functions.addPass(createFunctionalize());
  // Phase 2: what it says twice or for nothing. Raising looks through views and copies
  // only as far as its patterns need, so these go first.
  functions.addPass(createSimplify());
  functions.addPass(createCse());
  // Phase 3: whole ops. They leave views and copies without users behind.
  functions.addPass(createRaise());
  functions.addPass(createSimplify());
  functions.addPass(createCse());
  addVerification(functions, GraphForm::Value);
}

void registerPipelines() {
  PassPipelineRegistration<>("rt-to-value-form",
                             "imported form to simplified value form",
                             [](OpPassManager &pm) { buildValueFormPipeline(pm); });
}

} // namespace rtorch::rt
