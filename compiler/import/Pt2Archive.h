// The .pt2 archive: which entries it has and where the payloads lie.
#pragma once

#include "compiler/import/Graph.h"
#include "runtime/archive/Error.h"
#include "runtime/archive/MappedFile.h"
#include "runtime/archive/Zip.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rtorch::importer {

/// The two folders of payloads.
enum class PayloadFolder : uint8_t { Weights, Constants };

/// A mapped .pt2 archive whose frame (format, version, byte order, root folder) is
/// checked. Spans into it stay valid as long as the object lives.
class Pt2Archive {
public:
  static archive::Result<std::shared_ptr<const Pt2Archive>>
  open(const std::filesystem::path &path);

  /// The names of the exported programs, sorted.
  const std::vector<std::string> &programs() const { return programs_; }
  /// Checks what will be read on all cores at once: most of an archive is weights.
  void checkAhead() const { zip_.checkAhead(std::thread::hardware_concurrency()); }
  /// The JSON of a program.
  archive::Result<archive::ZipContent> programJson(std::string_view program) const;

  /// The payloads of the given FQNs, with shared storages sharing their number:
  /// `storages` maps a payload's path in the archive to its number and is extended.
  /// Fails for an FQN that the config lacks, pickled payloads, payloads that are
  /// shorter than their meta says, and damaged ones.
  archive::Result<std::map<std::string, Payload>>
  payloads(std::string_view program, PayloadFolder folder,
           const std::set<std::string> &fqns,
           std::map<std::string, uint32_t> &storages) const;

private:
  Pt2Archive(std::shared_ptr<const archive::MappedFile> file, archive::ZipReader zip)
      : file_(std::move(file)), zip_(std::move(zip)) {}
  archive::Status checkFrame();
  archive::Result<archive::ZipContent> read(const std::string &name) const;
  archive::Status expectText(const std::string &name, std::string_view expected) const;

  std::shared_ptr<const archive::MappedFile> file_;
  archive::ZipReader zip_;
  std::string root_; // with a slash at its end
  std::vector<std::string> programs_;
};

} // namespace rtorch::importer
