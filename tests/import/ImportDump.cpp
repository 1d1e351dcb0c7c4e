// rtorch-import-dump [--cross-check] [--quiet] model.pt2: the program in the imported
// form of the rt dialect on stdout, diagnostics on stderr. Exit codes: 0 imported, 1 an
// error, 2 wrong usage, 3 the cross-check found differences.
#include "compiler/import/GraphReader.h"
#include "compiler/import/SchemaTable.h"
#include "compiler/import/ToRt.h"
#include "dialects/rt/Rt.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

#include <string_view>

using namespace mlir;
using namespace rtorch;

int main(int argc, char **argv) {
  importer::ImportOptions options;
  bool quiet = false;
  const char *path = nullptr;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--cross-check")
      options.crossCheck = true;
    else if (word == "--quiet")
      quiet = true;
    else
      path = argv[i];
  }
  if (!path) {
    llvm::errs() << "usage: rtorch-import-dump [--cross-check] [--quiet] model.pt2\n";
    return 2;
  }
  archive::Result<importer::Program> program = importer::readProgram(path);
  if (!program) {
    llvm::errs() << "error: " << program.message() << "\n";
    return 1;
  }
  MLIRContext context(MLIRContext::Threading::DISABLED);
  unsigned warnings = 0;
  context.getDiagEngine().registerHandler([&](Diagnostic &diag) {
    StringRef kind = diag.getSeverity() == DiagnosticSeverity::Error     ? "error"
                     : diag.getSeverity() == DiagnosticSeverity::Warning ? "warning"
                                                                         : "note";
    warnings += diag.getSeverity() == DiagnosticSeverity::Warning;
    llvm::errs() << diag.getLocation() << ": " << kind << ": " << diag << "\n";
    for (Diagnostic &note : diag.getNotes())
      llvm::errs() << note.getLocation() << ": note: " << note << "\n";
    return success();
  });
  FailureOr<OwningOpRef<ModuleOp>> module =
      importer::importProgram(context, *program, options);
  if (failed(module))
    return 1;
  if (!quiet) {
    OpPrintingFlags flags;
    flags.enableDebugInfo(true, /*prettyForm=*/false);
    (*module)->print(llvm::outs(), flags);
    llvm::outs() << "\n";
  }
  return warnings ? 3 : 0;
}
