#include "tests/unit/codegen/JitHarness.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"

#include <catch2/catch.hpp>

namespace rtorch::test {

std::unique_ptr<mlir::MLIRContext> createKernelContext() {
  mlir::DialectRegistry registry;
  codegen::registerKernelDialects(registry);
  auto context = std::make_unique<mlir::MLIRContext>(
      registry, mlir::MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

mlir::OwningOpRef<mlir::ModuleOp> parseKernels(mlir::MLIRContext &context,
                                               llvm::StringRef text) {
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    diagnostics += diagnostic.str() + "\n";
    return mlir::success();
  });
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  INFO(diagnostics << text.str());
  REQUIRE(module);
  return module;
}

JitModule::JitModule(codegen::ObjectCode code, std::unique_ptr<llvm::orc::LLJIT> jit)
    : code_(std::move(code)), jit_(std::move(jit)) {}
JitModule::JitModule(JitModule &&) noexcept = default;
JitModule::~JitModule() = default;

uint64_t JitModule::address(llvm::StringRef name) const {
  auto symbol = jit_->lookup(name);
  if (!symbol) {
    llvm::consumeError(symbol.takeError());
    return 0;
  }
  return symbol->getValue();
}

llvm::Expected<JitModule> jitCompile(mlir::ModuleOp module, llvm::StringRef cpu) {
  auto target = codegen::resolveTarget(cpu);
  if (!target)
    return target.takeError();
  auto compiler = codegen::ObjectCompiler::create(*target);
  if (!compiler)
    return compiler.takeError();
  auto code = compiler->compile(module, {.assemblyText = true, .verify = true});
  if (!code)
    return code.takeError();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  if (auto error = (*jit)->addObjectFile(
          llvm::MemoryBuffer::getMemBufferCopy(code->object, "kernels.o")))
    return error;
  return JitModule(std::move(*code), std::move(*jit));
}

JitModule jitCompileText(llvm::StringRef text, llvm::StringRef cpu) {
  auto context = createKernelContext();
  auto module = parseKernels(*context, text);
  auto jit = jitCompile(*module, cpu);
  std::string message = jit ? "" : llvm::toString(jit.takeError());
  INFO(message);
  REQUIRE(message.empty());
  return std::move(*jit);
}

} // namespace rtorch::test
