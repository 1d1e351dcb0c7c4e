#include "compiler/codegen/lowering/ObjectCode.h"
#include "compiler/codegen/lowering/Timer.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace llvm;

namespace rtorch::codegen {
namespace {

// Loops arrive vectorized and unrolled: the O2 pipeline costs ten times as much and
// gains nothing.
constexpr StringLiteral llvmPasses =
    "function(sroa,early-cse,instcombine<no-verify-fixpoint>,loop-mssa(licm),"
    "simplifycfg)";

/// Target and freestanding attributes of every function that has a body.
void setFunctionAttributes(llvm::Module &module, const Target &target,
                           const TargetMachine &machine) {
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    function.addFnAttr("tune-cpu", target.cpu);
    if (!machine.getTargetFeatureString().empty())
      function.addFnAttr("target-features", machine.getTargetFeatureString());
    if (target.isX86())
      function.addFnAttr("prefer-vector-width", utostr(8 * target.vectorBytes));
    // No loop may become a call of memset or the like: kernels import nothing.
    function.addFnAttr("no-builtins");
    // No unwind tables: nothing throws.
    function.addFnAttr(Attribute::NoUnwind);
  }
}

Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp module,
                                                  LLVMContext &context, bool verify) {
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler(module.getContext(),
                                        [&](mlir::Diagnostic &diagnostic) {
                                          if (!diagnostics.empty())
                                            diagnostics.push_back('\n');
                                          diagnostics += diagnostic.str();
                                          return mlir::success();
                                        });
  StringRef name = module.getName().value_or("kernels");
  std::unique_ptr<llvm::Module> result =
      mlir::translateModuleToLLVMIR(module, context, name, !verify);
  if (!result)
    return createStringError("translation to LLVM IR failed: " + diagnostics);
  return result;
}

Error runPasses(llvm::Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager sccs;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  ModulePassManager passes;
  if (Error error = builder.parsePassPipeline(passes, llvmPasses))
    return error;
  passes.run(module, modules);
  return Error::success();
}

Error emitFile(llvm::Module &module, TargetMachine &machine, CodeGenFileType type,
               SmallVectorImpl<char> &bytes) {
  raw_svector_ostream stream(bytes);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type,
                                  /*DisableVerify=*/true))
    return createStringError("LLVM cannot emit this kind of file for " +
                             module.getTargetTriple().str());
  passes.run(module);
  return Error::success();
}

/// Fails if `object` needs a symbol that it does not define.
Error checkImports(StringRef object) {
  auto file =
      object::ObjectFile::createObjectFile(MemoryBufferRef(object, "kernel object"));
  if (!file)
    return file.takeError();
  SmallVector<std::string> missing;
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    if (!(*flags & object::SymbolRef::SF_Undefined))
      continue;
    Expected<StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    if (!name->empty())
      missing.push_back(name->str());
  }
  if (missing.empty())
    return Error::success();
  return createStringError(
      "kernels must import nothing, but the generated code needs " +
      join(missing, ", "));
}

} // namespace

ObjectCompiler::ObjectCompiler(Target target, std::unique_ptr<TargetMachine> machine)
    : target_(std::move(target)), machine_(std::move(machine)) {}
ObjectCompiler::ObjectCompiler(ObjectCompiler &&) noexcept = default;
ObjectCompiler &ObjectCompiler::operator=(ObjectCompiler &&) noexcept = default;
ObjectCompiler::~ObjectCompiler() = default;

Expected<ObjectCompiler> ObjectCompiler::create(const Target &target) {
  Expected<std::unique_ptr<TargetMachine>> machine = createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  return ObjectCompiler(target, std::move(*machine));
}

Expected<ObjectCode> ObjectCompiler::compile(mlir::ModuleOp module,
                                             const EmitOptions &options) {
  ObjectCode code;
  PhaseTimes &times = code.times;
  if (options.verify && failed(mlir::verify(module)))
    return createStringError("the kernel module does not verify");
  if (Error error = lowerToLlvm(module, target_, &times))
    return error;

  LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule;
  {
    Timer timer(times.translation);
    auto translated = translate(module, context, options.verify);
    if (!translated)
      return translated.takeError();
    llvmModule = std::move(*translated);
    llvmModule->setTargetTriple(machine_->getTargetTriple());
    llvmModule->setDataLayout(machine_->createDataLayout());
    setFunctionAttributes(*llvmModule, target_, *machine_);
  }
  {
    Timer timer(times.optimization);
    if (Error error = runPasses(*llvmModule, *machine_))
      return error;
  }
  if (options.verify) {
    std::string message;
    raw_string_ostream stream(message);
    if (verifyModule(*llvmModule, &stream))
      return createStringError("the LLVM module does not verify: " + message);
  }
  if (options.llvmText) {
    raw_string_ostream stream(code.llvmText);
    llvmModule->print(stream, nullptr);
  }
  if (options.assemblyText) {
    // Code generation changes the module: work on a copy.
    SmallVector<char, 0> text;
    if (Error error = emitFile(*CloneModule(*llvmModule), *machine_,
                               CodeGenFileType::AssemblyFile, text))
      return error;
    code.assemblyText.assign(text.begin(), text.end());
  }
  {
    Timer timer(times.codegen);
    SmallVector<char, 0> bytes;
    if (Error error =
            emitFile(*llvmModule, *machine_, CodeGenFileType::ObjectFile, bytes))
      return error;
    code.object.assign(bytes.begin(), bytes.end());
  }
  if (Error error = checkImports(code.object))
    return error;
  return code;
}

} // namespace rtorch::codegen
