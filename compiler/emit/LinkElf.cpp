#include "compiler/emit/LinkElf.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

namespace rtorch::emit {

static llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Error writeFile(llvm::StringRef path, llvm::StringRef bytes) {
  std::error_code error;
  llvm::raw_fd_ostream file(path, error);
  if (!error) {
    file << bytes;
    file.close();
    error = file.error();
    file.clear_error();
  }
  return error ? failure("cannot write '" + path + "': " + error.message())
               : llvm::Error::success();
}

/// lld keeps its state in globals.
static std::mutex linkMutex;

static llvm::Error runLld(llvm::ArrayRef<std::string> inputs, llvm::StringRef output) {
  // The order of symbols and sections follows the order of the inputs: deterministic.
  std::vector<std::string> arguments = {
      "ld.lld", "-shared",        "--build-id=none", "-z", "noexecstack", "-z",
      "now",    "--no-undefined", "--threads=1",     "-o", output.str()};
  llvm::append_range(arguments, inputs);
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  std::lock_guard lock(linkMutex);
  lld::Result result =
      lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return failure("linking the kernels failed: " + messages);
  return llvm::Error::success();
}

llvm::Expected<std::string> linkElf(llvm::ArrayRef<std::string> objects) {
  llvm::SmallString<128> folder;
  if (std::error_code error =
          llvm::sys::fs::createUniqueDirectory("rtorch-link", folder))
    return failure("cannot create a temporary folder: " + error.message());
  llvm::scope_exit cleanup([&] { llvm::sys::fs::remove_directories(folder); });
  auto pathOf = [&](const llvm::Twine &name) {
    llvm::SmallString<128> path = folder;
    llvm::sys::path::append(path, name);
    return std::string(path);
  };
  std::vector<std::string> inputs;
  for (const std::string &object : objects) {
    inputs.push_back(pathOf(llvm::Twine(inputs.size()) + ".o"));
    if (llvm::Error error = writeFile(inputs.back(), object))
      return error;
  }
  std::string output = pathOf("kernels.so");
  if (llvm::Error error = runLld(inputs, output))
    return error;
  auto buffer = llvm::MemoryBuffer::getFile(output, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return failure("cannot read '" + output + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

} // namespace rtorch::emit
