// Runs of the experiment store for Python.
#pragma once

#include "runtime/include/rtorch/record.hpp"

#include <memory>
#include <optional>
#include <pybind11/pybind11.h>
#include <string>

namespace rtorch::python {

class RecordedRun {
public:
  /// Throws RuntimeError if the run's directory cannot be made; without `store` the
  /// user's.
  RecordedRun(const std::string &kind, const pybind11::dict &facts,
              const std::optional<std::string> &store);

  std::string id() const { return run_->id(); }
  std::string directory() const { return run_->directory(); }
  void event(const std::string &name, const pybind11::dict &fields);
  void metric(const std::string &name, double value) { run_->metric(name, value); }
  /// Throws RuntimeError if anything of the run could not be written.
  void finish(const std::string &status, const pybind11::dict &results);

private:
  std::unique_ptr<record::Run> run_;
};

} // namespace rtorch::python
