// A loaded module: immutable, shared by all its instances and threads.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/executor/Constants.h"
#include "runtime/executor/Image.h"
#include "runtime/format/ModuleFile.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace rtorch::executor {

struct LoadOptions {
  /// Do not touch the code: enough to describe a module, also one for another CPU.
  bool describe_only = false;
  /// Compare the constants with their checksum. Reads all of them (about 0.1 s a
  /// gigabyte from the page cache); without it a changed weight goes unnoticed.
  bool verify_constants = true;
  /// For a module that was compiled without its weights: all of them, by name. Their
  /// memory is used in place where it lies as the module needs it.
  std::span<const NamedWeight> weights = {};
  /// The CPU whose code is to run, of those that the module has; empty: the best that
  /// this CPU can run.
  std::string cpu_level = {};
  /// Keeps that memory as long as the module lives.
  std::shared_ptr<const void> weights_owner = {};
};

/// An operand of a launch that depends on the round of a loop.
struct RoundOperand {
  uint32_t position = 0; // in the flat table of operands
  uint32_t storage = 0;
  format::ExprId byte_offset = 0;
};

/// A value of a launch that depends on the round of a loop.
struct RoundValue {
  uint32_t position = 0; // in the flat table of values
  format::ExprId value = 0;
};

/// Where the operands and values of a launch begin in a plan's flat tables, and which
/// of them change from round to round.
struct LaunchEntry {
  rtorch_kernel kernel = nullptr;
  uint32_t first_operand = 0;
  uint32_t first_value = 0;
  std::vector<RoundOperand> round_operands;
  std::vector<RoundValue> round_values;
  bool round_grid = false;
};

/// An operand whose address changes from call to call.
struct CallOperand {
  uint32_t position = 0; // in the flat table of operands
  uint32_t storage = 0;
  format::ExprId byte_offset = 0;
};

/// Sizes and strides of a state; both are known when the module is compiled.
struct StateShape {
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
};

class Module final {
public:
  /// Maps and checks `path`, and opens its code unless told otherwise. Codes:
  /// ModuleIo, ModuleFormat, ModuleDamaged, ModuleVersion, ModuleTarget, ModuleLink,
  /// ModulePlan.
  static core::Result<std::shared_ptr<const Module>>
  load(const std::filesystem::path &path, const LoadOptions &options);

  /// A module that is linked into the program: its bytes and kernels, which must stay.
  /// The same codes.
  static core::Result<std::shared_ptr<const Module>>
  openEmbedded(std::span<const std::byte> bytes,
               std::span<const rtorch_embedded_kernel> kernels, const std::string &name,
               const LoadOptions &options);

  /// Of the level that runs.
  const format::Manifest &manifest() const { return file_->levels()[level_]; }
  size_t level() const { return level_; }
  const format::ModuleFile &file() const { return *file_; }
  /// Whether the code is there (no describe_only).
  bool isRunnable() const { return runnable_; }
  /// Empty if nothing that runs reads it, and for describe_only.
  std::span<const std::byte> constant(size_t index) const {
    return constants_.bytes(index);
  }

  const StateShape &stateShape(size_t index) const { return state_shapes_[index]; }

  /// One per launch of the schedule.
  std::span<const LaunchEntry> launches() const { return launches_; }
  /// The expressions that depend on the round of a loop, ascending.
  std::span<const format::ExprId> roundExprs(size_t loop) const {
    return round_exprs_[loop];
  }
  bool dependsOnRound(format::ExprId id) const { return depends_on_round_[id]; }
  /// The storages in arguments' and results' memory whose base is asked for while the
  /// schedule runs: of conditions, and of operands that change from round to round.
  std::span<const uint32_t> callStorages() const { return call_storages_; }
  size_t operandCount() const { return operand_count_; }
  size_t valueCount() const { return value_count_; }
  /// The operands in arguments' and results' memory.
  std::span<const CallOperand> callOperands() const { return call_operands_; }

private:
  Module() = default;
  /// What is left to do once the file is open. `kernels` are those of the program, if
  /// that is where they are.
  core::Status prepare(const std::string &name, const LoadOptions &options,
                       const std::span<const rtorch_embedded_kernel> *kernels);
  core::Status choose(const LoadOptions &options);
  core::Status openImage(const std::string &name,
                         const std::span<const rtorch_embedded_kernel> *kernels);
  core::Status link();
  core::Status shapeStates();
  void flattenSchedule();
  void findRoundExprs();
  void findRoundParts();
  void addCallStorage(uint32_t storage);

  std::unique_ptr<const format::ModuleFile> file_;
  size_t level_ = 0;
  Image image_; // closed before file_
  Constants constants_;
  bool runnable_ = false;
  std::vector<StateShape> state_shapes_;
  std::vector<LaunchEntry> launches_;
  std::vector<CallOperand> call_operands_;
  std::vector<std::vector<format::ExprId>> round_exprs_; // by loop
  std::vector<uint32_t> call_storages_;
  std::vector<bool> depends_on_round_; // by expression
  size_t operand_count_ = 0;
  size_t value_count_ = 0;
};

} // namespace rtorch::executor
