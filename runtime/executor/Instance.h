// What changes from run to run: states, arena, cached plans.
#pragma once

#include "runtime/core/AlignedBuffer.h"
#include "runtime/core/Status.h"
#include "runtime/core/Value.h"
#include "runtime/executor/Module.h"
#include "runtime/executor/Overlap.h"
#include "runtime/executor/ScheduleRun.h"
#include "runtime/executor/ShapePlan.h"
#include "runtime/executor/WorkerPool.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace rtorch::executor {

/// Gives memory for a result, at least `bytes`, aligned to RTORCH_ALIGNMENT; null
/// makes the run fail.
struct ResultAllocator {
  void *(*call)(void *user, size_t result, const core::TensorView &shape,
                size_t bytes) = nullptr;
  void *user = nullptr;
};

struct RunOptions {
  unsigned threads = 0; // 0: as many as the process has CPUs
  /// Memory for intermediates, see memoryOf(); the instance's own if null.
  void *arena = nullptr;
  size_t arena_bytes = 0;
  /// Copy arguments whose strides or alignment do not fit, instead of refusing them.
  bool relayout = false;
  bool measure_check = false;
  ProfileHook profile;
  ResultAllocator allocate;
  Parallel parallel;
};

struct RunReport {
  uint32_t copies = 0;      // arguments that were copied
  int64_t copied_bytes = 0; // theirs
  int64_t check_ns = 0;     // of the contract's check without copies, where measured
};

/// Bytes that a run with given sizes needs.
struct MemoryNeeds {
  int64_t arena = 0;     // intermediates, and scratch memory of each thread
  int64_t results = 0;   // of all results with memory of their own
  int64_t states = 0;    // of the instance
  int64_t constants = 0; // mapped from the file, shared by all instances
  /// What an instance has at most: arena, results and states.
  int64_t peak = 0;
};

class Instance final {
public:
  static core::Result<std::unique_ptr<Instance>>
  create(std::shared_ptr<const Module> module);

  const Module &module() const { return *module_; }

  /// The right to run an instance: held by one at a time. It covers what a caller
  /// prepares for a run, too.
  class Turn final {
  public:
    explicit Turn(Instance &instance)
        : busy_(instance.busy_),
          taken_(!busy_.exchange(true, std::memory_order_acquire)) {}
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;
    ~Turn() {
      if (taken_)
        busy_.store(false, std::memory_order_release);
    }
    bool taken() const { return taken_; }

  private:
    std::atomic<bool> &busy_;
    bool taken_;
  };
  /// RunBusy: what to return when somebody else has the turn.
  static core::Error busyError();

  /// Checks the call and runs the schedule. `results` has one entry per result of the
  /// module: a Tensor value with data is the caller's memory for it; otherwise (or
  /// where it is what an earlier run put there) memory comes from options.allocate or
  /// is the instance's own, valid until its next run. Entries of views and numbers are
  /// ignored. On success each entry describes its result; sizes and strides stay valid
  /// until the next run. On failure results, mutated arguments and states hold
  /// anything.
  ///
  /// Does not allocate when the sizes have been seen before and memory suffices.
  core::Status run(const Turn &turn, std::span<const core::Value> arguments,
                   std::span<core::Value> results, const RunOptions &options,
                   RunReport &report);

  /// A mutated buffer; valid as long as the instance, changed by its runs.
  core::Result<core::Value> state(size_t index) const;

private:
  explicit Instance(std::shared_ptr<const Module> module);
  core::Status initializeStates();
  core::Result<ShapePlan *> planFor(std::span<const core::Value> arguments);
  core::Result<ShapePlan *> checkContract(std::span<const core::Value> arguments,
                                          std::span<core::Value> results,
                                          const RunOptions &options, RunReport &report);
  core::Status placeArguments(const ShapePlan &plan, const RunOptions &options,
                              RunReport &report);
  core::Status relayout(const ShapePlan &plan, size_t index, RunReport &report);
  void copyBack(std::span<const core::Value> arguments) const;
  core::Status placeResults(const ShapePlan &plan, std::span<core::Value> results,
                            const RunOptions &options);
  core::Status placeResult(const ShapePlan &plan, size_t index, core::Value &result,
                           const RunOptions &options);
  core::Status checkOverlap(std::span<const core::Value> arguments,
                            std::span<const core::Value> results,
                            const RunOptions &options);
  core::Status bindMemory(ShapePlan &plan, const RunOptions &options, unsigned threads);
  void describeResults(const ShapePlan &plan, std::span<core::Value> results) const;

  std::shared_ptr<const Module> module_;
  std::atomic<bool> busy_ = false;
  uint64_t runs_ = 0;
  std::vector<core::AlignedBuffer> states_;
  std::vector<std::byte *> state_bases_;
  std::vector<std::unique_ptr<ShapePlan>> plans_;
  std::vector<int64_t> symbols_;
  std::vector<core::TensorView> placed_; // arguments as the module sees them
  std::vector<core::AlignedBuffer> copies_;
  std::vector<std::vector<int64_t>> copy_strides_;
  std::vector<core::AlignedBuffer> own_results_;
  std::vector<std::byte *> result_bases_;
  core::AlignedBuffer workspace_;
  std::byte *arena_ = nullptr; // of this run
  std::byte *scratch_ = nullptr;
  std::vector<ThreadSpan> spans_;
  OverlapCheck overlap_;
};

/// What a run of `module` with these symbol values needs; 0 threads: the default.
core::Result<MemoryNeeds> memoryOf(const Module &module,
                                   std::span<const int64_t> symbols, unsigned threads);

} // namespace rtorch::executor
