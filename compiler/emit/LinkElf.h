// Objects → one shared ELF image, by lld as a library.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace rtorch::emit {

/// Links `objects` (bytes of ELF objects, which must not refer to anything outside) to
/// a shared library and gives its bytes. One link runs at a time in a process; the
/// intermediate files live in a temporary folder that is removed in any case. Equal
/// objects give equal bytes.
llvm::Expected<std::string> linkElf(llvm::ArrayRef<std::string> objects);

} // namespace rtorch::emit
