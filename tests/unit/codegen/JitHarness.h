// Compiles kernel modules into this process, for tests.
#pragma once

#include "compiler/codegen/lowering/ObjectCode.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace rtorch::test {

/// A context with every dialect that kernels are written in, loaded.
std::unique_ptr<mlir::MLIRContext> createKernelContext();

/// Parses a module in the kernel dialects; fails the test with the diagnostics if the
/// text is wrong.
mlir::OwningOpRef<mlir::ModuleOp> parseKernels(mlir::MLIRContext &context,
                                               llvm::StringRef text);

/// Compiled code in this process; functions live as long as the object.
class JitModule {
public:
  JitModule(codegen::ObjectCode code, std::unique_ptr<llvm::orc::LLJIT> jit);
  JitModule(JitModule &&) noexcept;
  ~JitModule();

  /// The function `name` as `Function *`, e.g. `get<int32_t(const float *)>("f")`.
  /// Null if there is none.
  template <typename Function> Function *get(llvm::StringRef name) const {
    return reinterpret_cast<Function *>(address(name));
  }
  /// Assembly text is there as well.
  const codegen::ObjectCode &code() const { return code_; }

private:
  uint64_t address(llvm::StringRef name) const;

  codegen::ObjectCode code_;
  std::unique_ptr<llvm::orc::LLJIT> jit_;
};

/// Compiles `module` (lowered in place) for `cpu` and loads it. The CPU must be one
/// this machine can run. Any symbol the code would import is an error.
llvm::Expected<JitModule> jitCompile(mlir::ModuleOp module,
                                     llvm::StringRef cpu = "native");
/// As above, of text; fails the test on any error.
JitModule jitCompileText(llvm::StringRef text, llvm::StringRef cpu = "native");

} // namespace rtorch::test
