#include "compiler/schedule/OutlineKernel.h"
#include "compiler/schedule/Passes.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_FORMKERNELS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// Replaces a write through a view by a copy of the whole and a write into the copy:
/// in memory that is all there is to it. The region is one of a row-major tensor; for
/// other strides the result is copied once more.
void lowerScatterView(rt::ScatterViewOp op) {
  OpBuilder builder(op);
  MLIRContext *context = op.getContext();
  TensorType rowMajor = tensorType(op.getResult()).withRowMajorLayout();
  Value copy = rt::CloneOp::create(builder, op.getLoc(), rowMajor, op.getSource());
  Value region = rt::AsStridedOp::create(
      builder, op.getLoc(),
      TensorType::get(context, cast<TensorType>(op.getRegion()).getLayout(),
                      rowMajor.getElementType()),
      copy);
  rt::WriteOp::create(builder, op.getLoc(), op.getValue(), region);
  Value result = copy;
  if (tensorType(op.getResult()) != rowMajor)
    result =
        rt::CloneOp::create(builder, op.getLoc(), op.getResult().getType(), result);
  op.getResult().replaceAllUsesWith(result);
  op.erase();
}

struct FormKernelsPass : impl::FormKernelsBase<FormKernelsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<rt::ScatterViewOp> scatters;
    module.walk([&](rt::ScatterViewOp op) { scatters.push_back(op); });
    llvm::for_each(scatters, lowerScatterView);
    SmallVector<FunctionOpInterface> functions;
    for (auto function : module.getOps<FunctionOpInterface>())
      functions.push_back(function);
    for (FunctionOpInterface function : functions)
      if (!function.isExternal())
        form(function.getFunctionBody().front());
  }

  void form(Block &block) {
    for (Operation &op : block)
      if (isa<rt::LoopOp, rt::IfOp>(op))
        for (Region &region : op.getRegions())
          form(region.front());
    for (const FusionGroup &group : formGroups(block))
      replaceByLaunch(group);
    // What only fused ops used is gone now.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isa<rt::ViewOpInterface, rt::ParameterOp, rt::FullOp, rt::PackOp>(op) &&
          op.use_empty())
        op.erase();
  }

  void replaceByLaunch(const FusionGroup &group) {
    std::string baseName = kernelBaseName(group);
    OutlinedKernel outlined = outlineKernel(group);
    StringAttr name = intern(outlined.kernel, baseName);
    Operation *root = group.root();
    OpBuilder builder(root);
    Location loc = FusedLoc::get(builder.getContext(), outlined.locations);
    SmallVector<Type> results;
    if (outlined.targets.empty())
      llvm::append_range(results, root->getResultTypes());
    auto launch = rt::LaunchOp::create(
        builder, loc, results, FlatSymbolRefAttr::get(name), outlined.inputs,
        outlined.targets, builder.getArrayAttr(outlined.values), ArrayAttr());
    if (!results.empty())
      root->replaceAllUsesWith(launch.getResults());
    for (Operation *op : llvm::reverse(group.ops))
      erase(op);
  }

  /// Removes an op and the views that only it needed.
  void erase(Operation *op) {
    while (!op->use_empty())
      erase(*op->user_begin());
    op->erase();
  }

  /// The name of the module's kernel that equals `kernel`, which is added if there is
  /// none yet.
  StringAttr intern(rt::KernelOp kernel, const std::string &baseName) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    kernel->print(stream, OpPrintingFlags().useLocalScope());
    StringAttr &name = kernels_[text];
    if (name) {
      kernel->erase();
      return name;
    }
    name = StringAttr::get(kernel.getContext(),
                           baseName + "_" + std::to_string(kernels_.size() - 1));
    kernel.setSymNameAttr(name);
    getOperation().push_back(kernel);
    return name;
  }

  llvm::StringMap<StringAttr> kernels_;
};

} // namespace
} // namespace rtorch::schedule
