// Runs a module on raw arrays, for CPUs that tests reach by cross-compiling only:
//   run_raw MODULE.rtm THREADS FOLDER
// reads in_<i>.bin, the bytes of argument i in its declared layout and with its
// declared sizes, and writes out_<i>.bin, those of result i.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <rtorch/rtorch.hpp>
#include <string>
#include <vector>

namespace {

int fail(const rtorch::Error &error) {
  std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.message.c_str());
  return 1;
}

std::vector<char> read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  const std::string folder = argv[3];
  auto module = rtorch::Module::load(argv[1]);
  if (!module)
    return fail(module.error());
  const rtorch::ModuleInfo info = module->describe();
  std::vector<std::vector<char>> memory;
  std::vector<rtorch::Value> arguments;
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const rtorch::ValueInfo &argument = info.arguments[i];
    memory.push_back(read(folder + "/in_" + std::to_string(i) + ".bin"));
    arguments.emplace_back(
        rtorch::Tensor::borrow(rtorch::DType(argument.dtype), memory.back().data(),
                               argument.fixed_sizes, argument.fixed_strides));
  }
  rtorch::RunOptions options;
  options.threads = uint32_t(std::stoul(argv[2]));
  auto results = module->run(arguments, options);
  if (!results)
    return fail(results.error());
  for (size_t i = 0; i < results->size(); ++i) {
    const auto *tensor = std::get_if<rtorch::Tensor>(&(*results)[i].variant());
    if (!tensor)
      continue;
    std::ofstream out(folder + "/out_" + std::to_string(i) + ".bin", std::ios::binary);
    out.write(static_cast<const char *>(tensor->raw()),
              std::streamsize(size_t(tensor->numel()) *
                              rtorch::elementBytes(tensor->dtype())));
  }
  return 0;
}
