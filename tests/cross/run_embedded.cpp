// Runs the module that is linked in: the elements of its one argument, f32 of the sizes
// that the command line names, come from standard input, those of its results go to
// standard output.
#include "rtorch/rtorch.hpp"

#include <net.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
  std::vector<int64_t> sizes;
  size_t count = 1;
  for (int i = 1; i < argc; ++i) {
    sizes.push_back(std::atoll(argv[i]));
    count *= static_cast<size_t>(sizes.back());
  }
  std::vector<float> x(count);
  if (std::fread(x.data(), sizeof(float), count, stdin) != count) {
    std::fprintf(stderr, "expected %zu elements of f32 on standard input\n", count);
    return 1;
  }
  auto module = rtorch::Module::embedded(net);
  if (!module) {
    std::fprintf(stderr, "%s\n", module.error().message.c_str());
    return 1;
  }
  auto results = module->run({rtorch::Tensor::borrow(x, sizes)});
  if (!results) {
    std::fprintf(stderr, "%s\n", results.error().message.c_str());
    return 1;
  }
  for (const auto &result : *results) {
    auto values = result.tensor().data<float>();
    std::fwrite(values.data(), sizeof(float), values.size(), stdout);
  }
  return 0;
}
