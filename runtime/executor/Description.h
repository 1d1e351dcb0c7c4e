// The manifest as strings and numbers that the C API hands out.
#pragma once

#include "runtime/executor/Module.h"

#include <cstdint>
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

struct Description {
  std::vector<DescribedTensor> arguments;
  std::vector<DescribedTensor> results;
  std::vector<DescribedTensor> states;
  std::vector<DescribedTensor> weights;
  std::vector<std::string> checks;
  std::vector<const char *> features;
};

Description describe(const format::Manifest &manifest);

} // namespace rtorch::executor
