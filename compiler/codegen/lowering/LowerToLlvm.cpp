// The way from kernel dialects to the llvm dialect: math expansion, then a single
// conversion with the patterns of every dialect.

#include "compiler/codegen/lowering/MaskedMemory.h"
#include "compiler/codegen/lowering/ObjectCode.h"
#include "compiler/codegen/lowering/Timer.h"
#include "compiler/codegen/math/ExpandMath.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

/// `sym_visibility = "private"` alone does not become internal linkage.
void internalizePrivateFunctions(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPrivate() && !function.isExternal() &&
        !function->hasAttr("llvm.linkage"))
      function->setAttr(
          "llvm.linkage",
          LLVM::LinkageAttr::get(module.getContext(), LLVM::Linkage::Internal));
}

void populatePatterns(const LLVMTypeConverter &converter, RewritePatternSet &patterns) {
  populateSCFToControlFlowConversionPatterns(patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  populateFuncToLLVMConversionPatterns(converter, patterns);
  arith::populateCeilFloorDivExpandOpsPatterns(patterns);
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  populateMathToLLVMConversionPatterns(converter, patterns);
  ub::populateUBToLLVMConversionPatterns(converter, patterns);
  vector::populateVectorBroadcastLoweringPatterns(patterns);
  vector::populateVectorTransposeLoweringPatterns(
      patterns, vector::VectorTransposeLowering::Shuffle1D);
  vector::populateVectorShapeCastLoweringPatterns(patterns);
  vector::populateVectorInsertExtractStridedSliceTransforms(patterns);
  vector::populateVectorStepLoweringPatterns(patterns);
  vector::populateVectorInterleaveLoweringPatterns(patterns);
  vector::populateVectorInterleaveToShufflePatterns(patterns);
  populateVectorToLLVMConversionPatterns(converter, patterns);
}

LogicalResult convertToLlvm(ModuleOp module) {
  MLIRContext *context = module.getContext();
  LLVMConversionTarget conversionTarget(*context);
  conversionTarget.addLegalOp<ModuleOp>();
  LowerToLLVMOptions options(context);
  LLVMTypeConverter converter(context, options);
  RewritePatternSet patterns(context);
  populatePatterns(converter, patterns);
  return applyFullConversion(module, conversionTarget, std::move(patterns));
}

} // namespace

void registerKernelDialects(DialectRegistry &registry) {
  registry.insert<func::FuncDialect, scf::SCFDialect, cf::ControlFlowDialect,
                  arith::ArithDialect, math::MathDialect, vector::VectorDialect,
                  ub::UBDialect, LLVM::LLVMDialect>();
  registerLLVMDialectTranslation(registry);
  registerBuiltinDialectTranslation(registry);
}

llvm::Error lowerToLlvm(ModuleOp module, const Target &target, PhaseTimes *times) {
  std::string diagnostics;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (!diagnostics.empty())
      diagnostics.push_back('\n');
    diagnostics += diagnostic.str();
    return success();
  });
  PhaseTimes ignored;
  PhaseTimes &phases = times ? *times : ignored;
  {
    Timer timer(phases.math);
    if (failed(expandMath(
            module, {.hasFma = target.hasFma(), .hasF16 = target.hasF16Conversions()})))
      return llvm::createStringError("expansion of math functions failed: " +
                                     diagnostics);
  }
  Timer timer(phases.conversion);
  internalizePrivateFunctions(module);
  splitMaskedMemory(module, target.vectorBytes);
  if (failed(convertToLlvm(module)))
    return llvm::createStringError("lowering to LLVM failed: " + diagnostics);
  return llvm::Error::success();
}

} // namespace rtorch::codegen
