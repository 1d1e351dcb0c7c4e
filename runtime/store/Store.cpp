#include "runtime/store/Store.h"

#include "runtime/store/Database.h"

#include <algorithm>
#include <stdexcept>

namespace rtorch::store {
namespace {

/// Of the index; another one is thrown away.
constexpr int64_t kVersion = 1;

constexpr const char *kTables = R"(
  CREATE TABLE runs(id TEXT PRIMARY KEY, kind TEXT, model TEXT, status TEXT,
                    started_ns INTEGER, seconds REAL, latency REAL) WITHOUT ROWID;
  CREATE INDEX runs_by_status ON runs(status);
  PRAGMA user_version = 1;
)";

bool isCurrent(Database &index) {
  Statement version = index.prepare("PRAGMA user_version");
  return version.step() && version.integer(0) == kVersion;
}

std::unique_ptr<Database> openIndex(const std::filesystem::path &path) {
  auto index = std::make_unique<Database>(path);
  index->execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
  if (!isCurrent(*index)) {
    index->execute("BEGIN IMMEDIATE"); // others may be about to do the same
    if (!isCurrent(*index)) {
      index->execute("DROP TABLE IF EXISTS runs;");
      index->execute(kTables);
    }
    index->execute("COMMIT");
  }
  return index;
}

void removeIndex(const std::filesystem::path &path) {
  for (const char *suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(path.string() + suffix, ignored);
  }
}

} // namespace

Store::Store(std::filesystem::path directory) : directory_(std::move(directory)) {
  if (directory_.empty())
    throw std::runtime_error("no store is named, and there is no home directory");
  if (!std::filesystem::is_directory(directory_))
    throw std::runtime_error("there is no store in '" + directory_.string() + "'");
}

Store::~Store() = default;

void Store::open() {
  if (index_)
    return;
  std::filesystem::path path = directory_ / "index.sqlite";
  for (bool again : {true, false})
    try {
      index_ = openIndex(path);
      refresh();
      return;
    } catch (const DatabaseError &error) {
      index_.reset();
      if (!error.damaged || !again)
        break;
      removeIndex(path);
    }
  index_ = openIndex(":memory:"); // the store is read-only, or others hold its index
  refresh();
}

std::vector<std::string> Store::ids() const {
  std::vector<std::string> ids;
  std::error_code none;
  for (const auto &entry : std::filesystem::directory_iterator(runs(), none))
    if (std::string id = entry.path().filename().string(); !id.starts_with('.'))
      ids.push_back(std::move(id));
  std::ranges::sort(ids, std::greater<>());
  return ids;
}

void Store::put(const RunFile &run) {
  auto latency = run.metrics.find("latency_s");
  index_->prepare("INSERT OR REPLACE INTO runs VALUES(?,?,?,?,?,?,?)")
      .bind(1, run.id)
      .bind(2, run.kind)
      .bind(3, run.model)
      .bind(4, run.status)
      .bind(5, run.startedNs)
      .bind(6, run.seconds())
      .bind(7, latency == run.metrics.end() ? 0.0 : latency->second.p50)
      .execute();
}

/// Reads runs that are new, and those that were still running.
void Store::refresh() {
  // Taken at once: a transaction that begins by reading may not get to write.
  index_->execute("BEGIN IMMEDIATE");
  // Both in falling order: two lists are walked side by side.
  const std::vector<std::string> present = ids();
  auto next = present.begin();
  std::vector<std::string> gone, stale;
  for (Statement rows =
           index_->prepare("SELECT id, status = 'running' FROM runs ORDER BY id DESC");
       rows.step();) {
    const std::string id = rows.text(0);
    for (; next != present.end() && *next > id; ++next)
      stale.push_back(*next);
    const bool isPresent = next != present.end() && *next == id;
    if (!isPresent)
      gone.push_back(id);
    else if (rows.integer(1) != 0)
      stale.push_back(id);
    next += isPresent ? 1 : 0;
  }
  stale.insert(stale.end(), next, present.end());
  for (const std::string &id : stale)
    put(readRun(runs() / id));
  for (const std::string &id : gone)
    index_->prepare("DELETE FROM runs WHERE id = ?").bind(1, id).execute();
  index_->execute("COMMIT");
}

std::vector<RunRow> Store::list(const Filter &filter) {
  open();
  Statement rows = index_->prepare(
      "SELECT id, kind, model, status, started_ns, seconds, latency FROM runs "
      "WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR instr(model, ?2)) AND "
      "(?3 = '' OR status = ?3) ORDER BY started_ns DESC, id DESC LIMIT ?4");
  rows.bind(1, filter.kind).bind(2, filter.model).bind(3, filter.status);
  rows.bind(4, filter.limit ? static_cast<int64_t>(filter.limit) : int64_t(-1));
  std::vector<RunRow> result;
  while (rows.step())
    result.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3),
                      rows.integer(4), rows.real(5), rows.real(6)});
  return result;
}

RunFile Store::find(const std::string &id) {
  std::vector<std::string> matches;
  for (const std::string &each : ids())
    if (each == id)
      return readRun(runs() / each);
    else if (!id.empty() && each.starts_with(id))
      matches.push_back(each);
  if (matches.size() == 1)
    return readRun(runs() / matches[0]);
  throw std::runtime_error(
      matches.empty() ? "there is no run '" + id + "' in '" + directory_.string() + "'"
                      : std::to_string(matches.size()) + " runs begin with '" + id +
                            "': " + matches[0] + ", " + matches[1] +
                            (matches.size() > 2 ? ", ..." : ""));
}

size_t Store::rebuild() {
  index_.reset();
  removeIndex(directory_ / "index.sqlite");
  open();
  return ids().size();
}

void Store::remove(const std::string &id) {
  std::filesystem::remove_all(runs() / id);
  if (index_)
    index_->prepare("DELETE FROM runs WHERE id = ?").bind(1, id).execute();
}

std::vector<std::string> verify(const RunFile &run) {
  std::vector<std::string> problems = run.problems;
  if (run.status == "unreadable" || run.status == "running")
    return problems;
  for (auto [file, count] :
       {std::pair("events.jsonl", "events"), std::pair("metrics.jsonl", "records")}) {
    size_t lines = readLines(run.directory / file, problems).size();
    auto expected = run.facts.find(count);
    if (expected != run.facts.end() && expected->is_number_unsigned() &&
        expected->get<uint64_t>() != lines)
      problems.push_back(std::string(file) + " has " + std::to_string(lines) +
                         " records, expected " + expected->dump());
  }
  return problems;
}

} // namespace rtorch::store
