// A module as a part of a program: a static library and the header that declares it.
#pragma once

#include "compiler/codegen/lowering/Target.h"
#include "runtime/format/Manifest.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstddef>
#include <span>
#include <string>

namespace rtorch::emit {

/// `text` as a name of C: what no identifier may have becomes an underscore.
std::string identifierOf(llvm::StringRef text);

/// An object that defines `name`, an rtorch_embedded_module of `bytes` (what
/// format::writeModuleImage gives) and of the kernels called `symbols`, which other
/// objects of the library define.
llvm::Expected<std::string> embedModule(const codegen::Target &target,
                                        llvm::StringRef name,
                                        std::span<const std::byte> bytes,
                                        std::vector<std::string> symbols);

/// Writes the objects as an archive for linkers; equal objects give equal bytes.
llvm::Error writeStaticLibrary(const std::string &path,
                               llvm::ArrayRef<std::string> objects);

/// A header for C and C++ that declares `name` and says what the module takes and
/// gives.
std::string headerText(llvm::StringRef name, const format::Manifest &manifest);

} // namespace rtorch::emit
