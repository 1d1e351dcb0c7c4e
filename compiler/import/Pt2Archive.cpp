#include "compiler/import/Pt2Archive.h"

#include "compiler/import/GraphReader.h"
#include "compiler/import/JsonReader.h"
#include "compiler/import/MetaReader.h"
#include "runtime/layout/Layout.h"

#include <algorithm>

namespace rtorch::importer {

using archive::makeError;
using archive::Result;
using archive::Status;
using archive::ZipContent;
using archive::ZipEntry;

namespace {

constexpr std::string_view kModels = "models/", kJson = ".json";

struct FolderNames {
  std::string_view folder, suffix;
};
FolderNames namesOf(PayloadFolder folder) {
  return folder == PayloadFolder::Weights
             ? FolderNames{"data/weights/", "_weights_config.json"}
             : FolderNames{"data/constants/", "_constants_config.json"};
}

std::string listed(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "'" : ", '") + name + "'";
  return text;
}

/// What a payload config says about one FQN.
struct ConfigEntry {
  std::string path;
  Payload payload; // without bytes
};

/// Reads the entries of the FQNs that are asked for; the others are not looked at.
std::map<std::string, ConfigEntry> readConfig(const Json &root,
                                              const std::set<std::string> &fqns) {
  JsonReader json;
  SymbolTable symbols;
  MetaReader metas(json, symbols);
  std::map<std::string, ConfigEntry> result;
  json.field(root, "config", [&](const Json &config) {
    json.eachMember(config, [&](const std::string &fqn, const Json &value) {
      if (!fqns.count(fqn))
        return;
      bool isPickled = false;
      json.optionalField(value, "use_pickle",
                         [&](const Json &v) { isPickled = json.boolean(v); });
      if (isPickled)
        json.fail("the payload is a Python pickle (a tensor subclass or a custom "
                  "object), which is not supported");
      ConfigEntry entry;
      entry.path = json.textField(value, "path_name");
      json.optionalField(value, "is_param", [&](const Json &v) {
        entry.payload.isParameter = json.boolean(v);
      });
      entry.payload.meta = json.field(
          value, "tensor_meta", [&](const Json &v) { return metas.tensorMeta(v); });
      if (!symbols.all.empty())
        json.fail("the sizes of a payload must be numbers");
      if (entry.payload.meta.layout != LayoutKind::Strided)
        json.fail("the payload is not strided (layout " +
                  std::to_string(static_cast<int>(entry.payload.meta.layout)) + ")");
      result.emplace(fqn, std::move(entry));
    });
  });
  return result;
}

/// Bytes of the storage that the tensor needs. The meta was checked not to overflow.
int64_t neededBytes(const TensorMeta &meta) {
  int64_t last = meta.offset.constant().value_or(0);
  for (size_t i = 0; i < meta.sizes.size(); ++i) {
    int64_t size = meta.sizes[i].constant().value_or(0);
    if (size == 0)
      return 0;
    last += (size - 1) * meta.strides[i].constant().value_or(0);
  }
  return (last + 1) * itemSize(meta.dtype);
}

Status checkLength(const std::string &fqn, const ConfigEntry &entry) {
  auto needed = static_cast<uint64_t>(neededBytes(entry.payload.meta));
  if (needed <= entry.payload.bytes.size())
    return {};
  return makeError("payload '" + entry.path + "' of '" + fqn + "' has " +
                   std::to_string(entry.payload.bytes.size()) + " bytes, but " +
                   entry.payload.meta.str() + " needs " + std::to_string(needed));
}

} // namespace

Result<std::shared_ptr<const Pt2Archive>>
Pt2Archive::open(const std::filesystem::path &path) {
  auto file = archive::MappedFile::open(path);
  if (!file)
    return file.error();
  std::string place = "'" + path.string() + "': ";
  Result<archive::ZipReader> zip = archive::ZipReader::open((*file)->bytes());
  if (!zip)
    return makeError(place + zip.message());
  std::shared_ptr<Pt2Archive> result(new Pt2Archive(std::move(*file), std::move(*zip)));
  if (Status status = result->checkFrame(); !status)
    return makeError(place + status.message());
  return std::shared_ptr<const Pt2Archive>(std::move(result));
}

Result<ZipContent> Pt2Archive::read(const std::string &name) const {
  const ZipEntry *entry = zip_.find(root_ + name);
  if (!entry)
    return makeError("entry '" + root_ + name + "' is missing");
  return zip_.read(*entry);
}

Status Pt2Archive::expectText(const std::string &name,
                              std::string_view expected) const {
  Result<ZipContent> content = read(name);
  if (!content)
    return makeError("not a .pt2 archive: " + content.message());
  std::string_view text = content->text();
  while (text.ends_with('\n'))
    text.remove_suffix(1);
  if (text == expected)
    return {};
  return makeError("not a .pt2 archive that can be read: '" + name + "' is '" +
                   std::string(text.substr(0, 40)) + "', expected '" +
                   std::string(expected) + "'");
}

Status Pt2Archive::checkFrame() {
  if (zip_.entries().empty())
    return makeError("not a .pt2 archive: the zip archive is empty");
  const std::string &first = zip_.entries().front().name;
  size_t slash = first.find('/');
  if (slash == std::string::npos)
    return makeError("not a .pt2 archive: '" + first + "' is not in a root folder");
  root_ = first.substr(0, slash + 1);
  for (auto [name, expected] :
       {std::pair("archive_format", "pt2"), std::pair("archive_version", "0"),
        std::pair("byteorder", "little")})
    if (Status status = expectText(name, expected); !status)
      return status;
  std::string models = root_ + std::string(kModels);
  for (const ZipEntry &entry : zip_.entries()) {
    std::string_view name = entry.name;
    if (name.starts_with(models) && name.ends_with(kJson) &&
        name.size() > models.size() + kJson.size())
      programs_.emplace_back(
          name.substr(models.size(), name.size() - models.size() - kJson.size()));
  }
  std::sort(programs_.begin(), programs_.end());
  return {};
}

Result<ZipContent> Pt2Archive::programJson(std::string_view program) const {
  return read(std::string(kModels) + std::string(program) + std::string(kJson));
}

Result<std::map<std::string, Payload>>
Pt2Archive::payloads(std::string_view program, PayloadFolder folder,
                     const std::set<std::string> &fqns,
                     std::map<std::string, uint32_t> &storages) const {
  std::map<std::string, Payload> result;
  if (fqns.empty())
    return result;
  FolderNames names = namesOf(folder);
  std::string prefix(names.folder);
  std::string configName = prefix + std::string(program) + std::string(names.suffix);
  Result<ZipContent> content = read(configName);
  if (!content)
    return content.error();
  Result<Json> root = parseJson(content->text());
  if (!root)
    return makeError(configName + ": " + root.message());
  std::map<std::string, ConfigEntry> config;
  try {
    config = readConfig(*root, fqns);
  } catch (const ReadFailure &failure) {
    return makeError(configName + ": " + failure.message);
  }
  for (const std::string &fqn : fqns) {
    auto entry = config.find(fqn);
    if (entry == config.end())
      return makeError(configName + ": '" + fqn +
                       "', which the program uses, is missing");
    std::string path = prefix + entry->second.path;
    Result<ZipContent> bytes = read(path);
    if (!bytes)
      return bytes.error();
    // A deflated payload would need memory of its own; PyTorch writes none.
    if (bytes->owner)
      return makeError("payload '" + path +
                       "' is compressed; expected it to be stored");
    Payload &payload = entry->second.payload;
    payload.bytes = bytes->bytes;
    payload.aligned = reinterpret_cast<uintptr_t>(bytes->bytes.data()) % 64 == 0;
    // The exporter gives all tensors without elements one file; they share nothing.
    bool empty = layout::numel(payload.meta.sizes).isConstant(0);
    payload.storage = storages
                          .emplace(empty ? path + ':' + fqn : path,
                                   static_cast<uint32_t>(storages.size()))
                          .first->second;
    if (Status status = checkLength(fqn, entry->second); !status)
      return status.error();
    result.emplace(fqn, std::move(payload));
  }
  return result;
}

namespace {

/// The program to read: the one named, or the only one.
Result<std::string> chooseProgram(const Pt2Archive &archive, std::string_view name) {
  const std::vector<std::string> &programs = archive.programs();
  if (programs.empty())
    return makeError("the archive holds no exported program (no models/*.json)");
  if (name.empty() && programs.size() > 1)
    return makeError("the archive holds several programs: " + listed(programs) +
                     "; say which one");
  if (name.empty())
    return programs.front();
  if (std::find(programs.begin(), programs.end(), name) == programs.end())
    return makeError("the archive has no program '" + std::string(name) +
                     "'; it holds " + listed(programs));
  return std::string(name);
}

Status checkMeta(const Program &program, const InputSpec &input) {
  const Payload *payload = program.payload(input);
  if (!payload)
    return {};
  const TensorMeta &expected =
      program.graph.tensor(std::get<TensorRef>(input.argument));
  if (expected.dtype == payload->meta.dtype && expected.sizes == payload->meta.sizes)
    return {};
  return makeError("'" + input.target + "' is " + payload->meta.str() +
                   " in the archive, but the graph expects " + expected.str());
}

Status loadPayloads(const Pt2Archive &archive, Program &program) {
  std::set<std::string> weights, constants;
  for (const InputSpec &input : program.inputs) {
    bool isBuffer = input.kind == InputSpec::Kind::Buffer;
    if (input.kind == InputSpec::Kind::Parameter || (isBuffer && input.persistent))
      weights.insert(input.target);
    else if (input.kind == InputSpec::Kind::TensorConstant || isBuffer)
      constants.insert(input.target);
  }
  std::map<std::string, uint32_t> storages;
  auto loaded =
      archive.payloads(program.name, PayloadFolder::Weights, weights, storages);
  if (!loaded)
    return loaded.error();
  program.weights = std::move(*loaded);
  loaded =
      archive.payloads(program.name, PayloadFolder::Constants, constants, storages);
  if (!loaded)
    return loaded.error();
  program.constants = std::move(*loaded);
  for (const InputSpec &input : program.inputs)
    if (Status status = checkMeta(program, input); !status)
      return status;
  return {};
}

} // namespace

Result<Program> readProgram(const std::filesystem::path &path, std::string_view name) {
  auto archive = Pt2Archive::open(path);
  if (!archive)
    return archive.error();
  (*archive)->checkAhead();
  std::string place = "'" + path.string() + "': ";
  Result<std::string> chosen = chooseProgram(**archive, name);
  if (!chosen)
    return makeError(place + chosen.message());
  Result<ZipContent> json = (*archive)->programJson(*chosen);
  if (!json)
    return makeError(place + json.message());
  Result<Program> program = readProgramJson(json->text(), *chosen);
  if (!program)
    return makeError(place + program.message());
  if (Status status = loadPayloads(**archive, *program); !status)
    return makeError(place + status.message());
  program->archive = *archive;
  return program;
}

} // namespace rtorch::importer
