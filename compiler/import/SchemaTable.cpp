#include "compiler/import/SchemaTable.h"
#include "compiler/import/SchemaParser.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace rtorch::importer {
namespace {

/// Plain pointers: measuring the 300 KB of text at compile time exceeds what compilers
/// evaluate.
struct TableEntry {
  const char *name;
  const char *schema;
};

/// Sorted by name.
constexpr TableEntry kTable[] = {
#include "compiler/import/SchemaTable.inc"
};

} // namespace

const SchemaArgument *OpSchema::find(std::string_view argument) const {
  for (const SchemaArgument &candidate : arguments)
    if (candidate.name == argument)
      return &candidate;
  return nullptr;
}

bool OpSchema::isMutating() const {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const SchemaArgument &argument) { return argument.isMutated; });
}

bool OpSchema::isView() const {
  return std::any_of(returns.begin(), returns.end(), [](const SchemaArgument &result) {
    return !result.aliasSet.empty() && !result.isMutated;
  });
}

size_t schemaCount() { return std::size(kTable); }
std::string_view schemaName(size_t index) { return kTable[index].name; }

const OpSchema *findSchema(std::string_view op) {
  const auto *end = std::end(kTable);
  const auto *entry = std::lower_bound(std::begin(kTable), end, op,
                                       [](const TableEntry &a, std::string_view name) {
                                         return std::string_view(a.name) < name;
                                       });
  if (entry == end || op != entry->name)
    return nullptr;
  // Parsed on first use: a program has some dozen different ops, the table thousands.
  static std::mutex mutex;
  static std::map<std::string_view, std::optional<OpSchema>> parsed;
  std::lock_guard lock(mutex);
  auto [it, isNew] = parsed.try_emplace(entry->name);
  if (isNew)
    if (archive::Result<OpSchema> schema = parseSchema(entry->name, entry->schema))
      it->second = std::move(*schema);
  return it->second ? &*it->second : nullptr;
}

} // namespace rtorch::importer
