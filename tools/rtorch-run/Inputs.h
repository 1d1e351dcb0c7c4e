// From the arrays of a .npz to the arguments of a module.
#pragma once

#include "runtime/archive/Npz.h"

#include <rtorch/rtorch.hpp>
#include <span>
#include <vector>

namespace rtorch::run {

/// The arguments of a call, and the memory of those that the module writes to.
class Inputs final {
public:
  /// The i-th array is the i-th argument; arguments that must have one certain value
  /// may all be left out. bfloat16 comes as uint16 bits; integers, bools and floats as
  /// 0-d arrays, None as a 0-d nan, a string as uint8 characters. Whether the arrays
  /// fit the module is the runtime's to say.
  static Expected<Inputs> read(std::span<const archive::NpyArray> arrays,
                               const ModuleInfo &info);

  std::span<const Value> values() const { return values_; }
  /// Gives mutated arguments their first content again.
  void restore();
  /// The values of the module's symbols; only for arguments that fit.
  std::vector<int64_t> symbols(const ModuleInfo &info) const;

private:
  struct Copy {
    std::span<const std::byte> original;
    std::shared_ptr<std::byte[]> memory;
  };
  Value own(const Value &value, std::span<const std::byte> bytes);

  std::vector<Value> values_;
  std::vector<Copy> copies_;
};

} // namespace rtorch::run
