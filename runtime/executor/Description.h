// The manifest as strings and numbers that the C API hands out.
#pragma once

#include "runtime/executor/Module.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rtorch::executor {

/// Sizes and strides of a tensor of the manifest: as text, and as numbers where no
/// symbol decides (else -1).
struct DescribedTensor {
  std::vector<std::string> texts;          // sizes, then strides
  std::vector<const char *> text_pointers; // into `texts`
  std::vector<int64_t> fixed;              // sizes, then strides
  std::string value;                       // of an integer leaf
  std::string view_of;                     // of a result that is a view
};

/// One step of the schedule.
struct DescribedStep {
  uint32_t depth = 0; // of the loops and branches around it
  std::string trips;  // of a loop
};

struct Description {
  std::vector<DescribedTensor> arguments;
  std::vector<DescribedTensor> results;
  std::vector<DescribedTensor> states;
  std::vector<DescribedTensor> weights;
  std::vector<std::string> checks;
  std::vector<DescribedStep> steps;
  std::vector<std::vector<const char *>> features; // of each level
};

/// Describes one level of a module, and what each of the levels needs.
Description describe(const format::Manifest &manifest,
                     std::span<const format::Manifest> levels);

} // namespace rtorch::executor
