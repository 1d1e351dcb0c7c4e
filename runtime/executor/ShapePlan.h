// Everything about a call that follows from its sizes alone: computed once per new
// sizes, then reused.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/executor/Module.h"
#include "runtime/format/KernelAbi.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace rtorch::executor {

/// Sizes and strides of one result.
struct ResultShape {
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  int64_t bytes = 0; // from element 0 to behind the last
};

class ShapePlan final {
public:
  /// Evaluates all expressions and makes the module's checks. Codes: LayoutOverflow,
  /// LayoutCheck (a relation does not hold), ModulePlan (the module contradicts itself
  /// at these sizes: something would lie outside its memory).
  static core::Result<std::unique_ptr<ShapePlan>>
  build(const Module &module, std::span<const int64_t> symbols);

  std::span<const int64_t> symbols() const { return symbols_; }
  int64_t value(format::ExprId id) const { return exprs_[id]; }
  const ResultShape &result(size_t index) const { return results_[index]; }
  int64_t arenaBytes() const { return arena_bytes_; }
  /// Of one thread, a multiple of RTORCH_ALIGNMENT.
  int64_t scratchBytes() const { return scratch_bytes_; }
  /// No launch has use for more threads, as far as known before it runs.
  int64_t largestGrid() const { return largest_grid_; }

  int64_t grid(size_t launch) const { return grids_[launch]; }
  const rtorch_frame &frame(size_t launch) const { return frames_[launch]; }

  /// Sets the operands that do not change from call to call; does nothing when the
  /// arena is where it was. `states` has one base pointer per state.
  void bindArena(const Module &module, std::byte *arena,
                 std::span<std::byte *const> states);
  /// Sets an operand in an argument's or a result's memory.
  void bindOperand(const CallOperand &operand, std::byte *base) {
    buffers_[operand.position] = base + exprs_[operand.byte_offset];
  }
  /// Tells where a storage in an argument's or a result's memory begins.
  void bindStorage(uint32_t storage, std::byte *base) { bases_[storage] = base; }

  /// Sets the number of the round that a loop is in. Codes: LayoutOverflow.
  core::Status setRound(const Module &module, size_t loop, int64_t round);
  /// Brings a launch up to the rounds of all loops. Codes: ModulePlan.
  core::Status updateLaunch(const Module &module, size_t launch);
  /// Whether the bool in memory is true. Codes: ModulePlan.
  core::Result<bool> condition(const Module &module,
                               const format::Operand &operand) const;

  uint64_t last_use = 0; // for the cache that holds the plan

private:
  ShapePlan() = default;
  core::Status checkRelations(const format::Manifest &manifest) const;
  core::Status shapeResults(const format::Manifest &manifest);
  core::Status planMemory(const Module &module);
  core::Status planLaunches(const Module &module);
  core::Status checkGrid(const format::Manifest &manifest,
                         const format::Launch &launch) const;
  core::Status checkOffset(const format::Manifest &manifest, const std::string &what,
                           uint32_t storage, format::ExprId offset) const;
  core::Result<int64_t> storageBytes(const Module &module,
                                     const format::Storage &storage) const;
  core::Error inconsistent(const format::Manifest &manifest, std::string what) const;

  std::vector<int64_t> symbols_;
  std::vector<int64_t> exprs_;
  std::vector<int64_t> rounds_; // by loop
  std::vector<ResultShape> results_;
  std::vector<int64_t> storage_bytes_;
  std::vector<std::byte *> bases_; // by storage
  int64_t arena_bytes_ = 0;
  int64_t scratch_bytes_ = 0;
  int64_t largest_grid_ = 0;
  std::vector<int64_t> grids_;
  std::vector<int64_t> values_;
  std::vector<void *> buffers_;
  std::vector<rtorch_frame> frames_;
  bool bound_ = false;
  std::byte *bound_arena_ = nullptr;
};

} // namespace rtorch::executor
