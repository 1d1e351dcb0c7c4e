// What the tests of checkpoints share.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/FileFrame.h"
#include "runtime/checkpoint/Save.h"
#include "runtime/format/Crc32c.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

namespace rtorch::test {

/// A folder that is removed at the end.
class Folder {
public:
  Folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "rtch-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const char *name) const { return path_ / name; }
  const std::filesystem::path &path() const { return path_; }

private:
  std::filesystem::path path_;
};

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void writeFile(const std::filesystem::path &path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// "" for a file that opens, else the code of the error.
inline std::string codeOfOpening(const std::filesystem::path &path,
                                 std::string *message = nullptr) {
  auto file = checkpoint::Checkpoint::open(path, checkpoint::Verify::Full);
  if (file.ok())
    return "";
  if (message)
    *message = file.error().message;
  return core::codeName(file.error().code);
}

/// A file with this metadata and payload whose checksums are right.
inline std::string sealedFile(std::string_view meta, std::string_view payload,
                              uint64_t tensors) {
  checkpoint::Header header;
  checkpoint::Footer footer;
  header.meta_bytes = meta.size();
  header.payload_offset = checkpoint::payloadOffset(meta.size());
  header.payload_bytes = payload.size();
  header.meta_crc = format::crc32c(std::as_bytes(std::span(meta)));
  footer.tensor_count = tensors;
  footer.content_id = checkpoint::contentId(std::as_bytes(std::span(meta)));
  footer.file_bytes =
      checkpoint::footerOffset(header.payload_offset + payload.size()) + 64;
  checkpoint::seal(header, footer);
  std::string out(footer.file_bytes, '\0');
  std::memcpy(out.data(), &header, sizeof header);
  std::memcpy(out.data() + 64, meta.data(), meta.size());
  std::memcpy(out.data() + header.payload_offset, payload.data(), payload.size());
  std::memcpy(out.data() + out.size() - 64, &footer, sizeof footer);
  return out;
}

} // namespace rtorch::test
