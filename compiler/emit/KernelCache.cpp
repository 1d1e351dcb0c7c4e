#include "compiler/emit/KernelCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <dlfcn.h>

namespace rtorch::emit {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr llvm::StringLiteral kMagic = "rtorch kernel 1\n";
constexpr const char *kSuffix = ".kernel";

std::string digest(llvm::StringRef text) {
  llvm::SHA256 hash;
  hash.update(text);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

/// Tells builds of the compiler apart: size and time of the file that this code is in.
std::string buildIdentity() {
  Dl_info info{};
  std::error_code none;
  if (!dladdr(reinterpret_cast<const void *>(&buildIdentity), &info) || !info.dli_fname)
    return RTORCH_VERSION;
  fs::path file = info.dli_fname;
  if (!fs::exists(file, none))
    file = "/proc/self/exe";
  auto time = fs::last_write_time(file, none).time_since_epoch().count();
  return std::string(RTORCH_VERSION) + " " + std::to_string(fs::file_size(file, none)) +
         " " + std::to_string(time);
}

std::string describe(const codegen::Target &target) {
  std::string text = target.triple + " " + target.cpu;
  for (const std::string &feature : target.features)
    text += " +" + feature;
  for (int64_t number :
       {target.vectorBytes, target.vectorRegisters, target.l1Bytes, target.l2Bytes})
    text += " " + std::to_string(number);
  return text;
}

std::string headerOf(const CompiledKernel &kernel) {
  Json sites = Json::array();
  for (const KernelSite &site : kernel.sites)
    sites.push_back({site.message, site.op});
  return Json{{"symbol", kernel.symbol},
              {"grid", kernel.grid.str()},
              {"scratch", kernel.scratchBytes.str()},
              {"sites", sites},
              {"object", digest(kernel.code.object)}}
      .dump();
}

/// Whatever a damaged file holds, this throws nothing but Json::exception.
std::optional<CompiledKernel> decode(llvm::StringRef content) {
  if (!content.consume_front(kMagic))
    return std::nullopt;
  auto [header, object] = content.split('\n');
  Json json = Json::parse(header.begin(), header.end(), nullptr, false);
  if (!json.is_object() || json.at("object") != digest(object))
    return std::nullopt;
  auto grid = layout::Expr::parse(json.at("grid").get<std::string>());
  auto scratch = layout::Expr::parse(json.at("scratch").get<std::string>());
  if (!grid || !scratch)
    return std::nullopt;
  CompiledKernel kernel;
  kernel.symbol = json.at("symbol").get<std::string>();
  kernel.grid = *grid;
  kernel.scratchBytes = *scratch;
  for (const Json &site : json.at("sites"))
    kernel.sites.push_back({site.at(0).get<std::string>(), site.at(1).get<size_t>()});
  kernel.code.object = object.str();
  return kernel;
}

} // namespace

KernelCache::KernelCache(fs::path folder, const codegen::Target &target)
    : folder_(std::move(folder)), identity_(buildIdentity() + "\n" + describe(target)) {
  std::error_code unwritable; // then nothing is found or added
  fs::create_directories(folder_, unwritable);
}

std::string KernelCache::keyOf(llvm::StringRef text, llvm::StringRef prefix) const {
  return digest((identity_ + "\n" + prefix + "\n" + text).str());
}

std::optional<CompiledKernel> KernelCache::find(const std::string &key) const {
  fs::path path = folder_ / (key + kSuffix);
  auto file = llvm::MemoryBuffer::getFile(path.string(), /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file)
    return std::nullopt;
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
  try {
    return decode((*file)->getBuffer());
  } catch (const Json::exception &) {
    return std::nullopt;
  }
}

void KernelCache::add(const std::string &key, const CompiledKernel &kernel) const {
  fs::path path = folder_ / (key + kSuffix);
  llvm::SmallString<128> temporary;
  int descriptor;
  if (llvm::sys::fs::createUniqueFile(path.string() + ".%%%%%%.tmp", descriptor,
                                      temporary))
    return;
  llvm::raw_fd_ostream file(descriptor, /*shouldClose=*/true);
  file << kMagic << headerOf(kernel) << '\n' << kernel.code.object;
  file.close();
  bool written = !file.error();
  file.clear_error();
  if (!written || llvm::sys::fs::rename(temporary, path.string()))
    llvm::sys::fs::remove(temporary);
}

void KernelCache::prune(uint64_t bytes) const {
  struct Entry {
    fs::file_time_type used;
    uint64_t size;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code gone; // another process may prune, too
  for (const auto &file : fs::directory_iterator(folder_, gone))
    if (file.path().extension() == kSuffix) {
      entries.push_back(
          {file.last_write_time(gone), file.file_size(gone), file.path()});
      total += entries.back().size;
    }
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry &entry : entries) {
    if (total <= bytes)
      return;
    fs::remove(entry.path, gone);
    total -= entry.size;
  }
}

} // namespace rtorch::emit
