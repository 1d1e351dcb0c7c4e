// What the running CPU can do, in LLVM's names of features.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/format/Manifest.h"

#include <span>
#include <string>
#include <string_view>

namespace rtorch::executor {

/// Architecture of this build as in a target triple: "x86_64", "aarch64".
std::string_view hostArchitecture();

/// Whether the CPU and the operating system support `feature` ("avx2", "avx512f", ...).
/// Names that this runtime does not know count as not supported.
bool cpuHasFeature(std::string_view feature);

/// Checks that code for `triple` that needs `features` can run here; ModuleTarget, and
/// what is missing, if not. Looks at the architecture and the system of the triple.
core::Status checkTarget(const std::string &triple, const std::string &cpu,
                         std::span<const std::string> features);

/// The level to run of those that a module has, the most demanding first: the one for
/// the CPU called `wanted`, or, if that is empty, the first whose code can run here (of
/// those that no CPU here can run, the last). Fails with ModuleTarget if none is called
/// `wanted`.
core::Result<size_t> chooseLevel(std::span<const format::Manifest> levels,
                                 std::string_view wanted);

/// The same, and it must run here: ModuleTarget names what is missing for the least
/// demanding level, or the one that is wanted.
core::Result<size_t> chooseRunnableLevel(std::span<const format::Manifest> levels,
                                         std::string_view wanted);

} // namespace rtorch::executor
