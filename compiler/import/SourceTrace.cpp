#include "compiler/import/SourceTrace.h"

#include <charconv>

namespace rtorch::importer {
namespace {

constexpr std::string_view kPackageFolders[] = {"/site-packages/", "/dist-packages/"};

/// Where the path inside an installed package begins; npos for other files.
size_t packagePath(std::string_view file) {
  for (std::string_view folder : kPackageFolders)
    if (size_t at = file.rfind(folder); at != std::string_view::npos)
      return at + folder.size();
  return std::string_view::npos;
}

/// Torch shortens its own files to "torch/..."; code that it generates has no file.
bool isUserFile(std::string_view file) {
  return packagePath(file) == std::string_view::npos && !file.starts_with("torch/") &&
         !file.starts_with("<eval_with_key>") && !file.starts_with("<string>") &&
         !file.starts_with("<frozen");
}

std::string_view trim(std::string_view text) {
  size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// `File "NAME", line N, in FUNCTION`
std::optional<SourceLocation> parseFrameLine(std::string_view line) {
  constexpr std::string_view kFile = "File \"", kLine = "\", line ", kIn = ", in ";
  line = trim(line);
  if (!line.starts_with(kFile))
    return std::nullopt;
  line.remove_prefix(kFile.size());
  size_t at = line.find(kLine);
  if (at == std::string_view::npos)
    return std::nullopt;
  SourceLocation location;
  location.file = line.substr(0, at);
  line.remove_prefix(at + kLine.size());
  auto [end, error] =
      std::from_chars(line.data(), line.data() + line.size(), location.line);
  if (error != std::errc() || location.line < 0)
    return std::nullopt;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  if (line.starts_with(kIn))
    location.function = trim(line.substr(kIn.size()));
  return location;
}

} // namespace

std::vector<TraceFrame> parseStackTrace(std::string_view trace) {
  std::vector<TraceFrame> frames;
  bool wantsCode = false;
  while (!trace.empty()) {
    size_t end = std::min(trace.find('\n'), trace.size());
    std::string_view line = trace.substr(0, end);
    trace.remove_prefix(std::min(end + 1, trace.size()));
    if (std::optional<SourceLocation> location = parseFrameLine(line)) {
      bool isUser = isUserFile(location->file);
      frames.push_back({std::move(*location), isUser});
      wantsCode = true;
    } else if (wantsCode) {
      frames.back().location.code = trim(line);
      wantsCode = false;
    }
  }
  return frames;
}

std::optional<SourceLocation> chooseFrame(const std::vector<TraceFrame> &frames) {
  for (size_t i = frames.size(); i-- > 0;)
    if (frames[i].isUser)
      return frames[i].location;
  if (frames.empty())
    return std::nullopt;
  return frames.back().location;
}

void extendCommonFolder(std::optional<std::string> &common, std::string_view file) {
  std::string_view folder = file.substr(0, file.rfind('/') + 1);
  if (!common) {
    common = folder;
    return;
  }
  size_t same = 0;
  while (same < common->size() && same < folder.size() &&
         (*common)[same] == folder[same])
    ++same;
  common->resize(same);
  common->resize(common->rfind('/') + 1); // npos + 1 is 0
}

std::string relativeFile(std::string_view file, std::string_view folder) {
  if (!folder.empty() && file.starts_with(folder))
    return std::string(file.substr(folder.size()));
  if (size_t at = packagePath(file); at != std::string_view::npos)
    return std::string(file.substr(at));
  return std::string(file);
}

} // namespace rtorch::importer
