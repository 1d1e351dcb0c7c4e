// Why a graph of torch.compile was compiled, and not found in the cache.
#include "tools/rtorch-store/Commands.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

namespace rtorch::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// An entry of the cache: what its key was made of.
struct Entry {
  std::string key, name;
  int64_t addedNs = 0;
  std::map<std::string, std::string> parts;
};

std::optional<Entry> readEntry(const fs::path &path) {
  std::ifstream file(path);
  Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("parts") || !json["parts"].is_object())
    return std::nullopt; // being written, or of another version
  Entry entry{path.stem().string(),
              json.value("name", ""),
              json.value("added_ns", int64_t(0)),
              {}};
  for (const auto &[name, value] : json["parts"].items())
    entry.parts[name] = value.is_string() ? value.get<std::string>() : value.dump();
  return entry;
}

std::vector<Entry> readEntries(const fs::path &folder) {
  if (!fs::is_directory(folder))
    throw std::runtime_error("there is no cache in '" + folder.string() + "'");
  std::vector<Entry> entries;
  for (const auto &file : fs::directory_iterator(folder))
    if (file.path().extension() == ".json")
      if (std::optional<Entry> entry = readEntry(file.path()))
        entries.push_back(std::move(*entry));
  std::ranges::sort(entries, std::greater<>(), &Entry::addedNs);
  return entries;
}

std::vector<std::string> differences(const Entry &a, const Entry &b) {
  std::vector<std::string> names;
  for (const auto &[name, value] : a.parts)
    if (auto other = b.parts.find(name);
        other == b.parts.end() || other->second != value)
      names.push_back(name);
  return names;
}

const Entry &chosen(const std::vector<Entry> &entries, const std::string &key) {
  if (entries.empty())
    throw std::runtime_error("the cache is empty");
  for (const Entry &entry : entries)
    if (entry.key.starts_with(key))
      return entry;
  throw std::runtime_error("no entry of the cache begins with '" + key + "'");
}

/// Of those that were there before: the one that differs in the fewest parts; the
/// newest of several.
const Entry *nearest(const std::vector<Entry> &entries, const Entry &entry) {
  const Entry *best = nullptr;
  for (const Entry &other : entries)
    if (other.addedNs < entry.addedNs &&
        (!best || differences(entry, other).size() < differences(entry, *best).size()))
      best = &other;
  return best;
}

void print(const Entry &entry, const Entry *other) {
  std::cout << entry.key.substr(0, 12) << " (" << entry.name
            << ") was compiled: no entry of the cache had its key\n";
  if (!other) {
    std::cout << "no entry is older: it was the first\n";
    return;
  }
  std::cout << "nearest is " << other->key.substr(0, 12) << " (" << other->name
            << "), which differs in\n";
  for (const std::string &part : differences(entry, *other)) {
    auto before = other->parts.find(part);
    std::cout << "  " << part << ": "
              << (before == other->parts.end() ? "-" : before->second) << "\n  "
              << std::string(part.size(), ' ') << "  now " << entry.parts.at(part)
              << "\n";
  }
}

} // namespace

fs::path defaultCache() {
  auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return fs::path(value ? value : "");
  };
  if (std::getenv("RTORCH_CACHE"))
    return variable("RTORCH_CACHE");
  fs::path base = variable("XDG_CACHE_HOME");
  return (base.empty() ? variable("HOME") / ".cache" : base) / "rtorch";
}

int explainMiss(const fs::path &cache, const std::string &key, bool json) {
  std::vector<Entry> entries = readEntries(cache);
  const Entry &entry = chosen(entries, key);
  const Entry *other = nearest(entries, entry);
  if (!json) {
    print(entry, other);
    return 0;
  }
  Json result{{"key", entry.key}, {"name", entry.name}, {"parts", entry.parts}};
  if (other)
    result["nearest"] = {{"key", other->key},
                         {"name", other->name},
                         {"parts", other->parts},
                         {"differs_in", differences(entry, *other)}};
  std::cout << result.dump(2) << "\n";
  return 0;
}

} // namespace rtorch::tools
