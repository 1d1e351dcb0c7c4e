// What rtorch-run does, without its command line.
#pragma once

#include "tools/recording/Recording.h"

#include <cstdint>
#include <string>

namespace rtorch::run {

/// Exit statuses of the commands.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

struct Options {
  std::string module;
  std::string inputs;    // .npz, or empty for a module without arguments
  std::string weights;   // .rtch, or empty for a module that has its own
  std::string outputs;   // .npz, or empty: results are not kept
  std::string cpu_level; // of the module's; empty: the best that the CPU can run
  std::string profile;   // trace file, or empty
  uint32_t threads = 0;
  uint32_t repeat = 1;
  bool relayout = false;
  bool json = false;
  tools::RecordSettings record;
};

/// Each returns an exit status; results go to stdout, errors to stderr.
int runModule(const Options &options);
int describeModule(const Options &options);
int verifyModule(const Options &options);

} // namespace rtorch::run
