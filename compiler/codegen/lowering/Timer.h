// Adds the life time of a scope to a counter of milliseconds.
#pragma once

#include <chrono>

namespace rtorch::codegen {

class Timer {
public:
  explicit Timer(double &milliseconds)
      : milliseconds_(milliseconds), start_(std::chrono::steady_clock::now()) {}
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;
  ~Timer() {
    milliseconds_ += std::chrono::duration<double, std::milli>(
                         std::chrono::steady_clock::now() - start_)
                         .count();
  }

private:
  double &milliseconds_;
  std::chrono::steady_clock::time_point start_;
};

} // namespace rtorch::codegen
