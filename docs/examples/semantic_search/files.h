// Reading and writing the example's files: text lines, token ids, embeddings.
#pragma once

#include "rtorch/rtorch.hpp"
#include "runtime/archive/Npz.h"

#include <cstdio>
#include <fstream>

[[noreturn]] inline void fail(const std::string &message) {
  std::fprintf(stderr, "semantic_search: %s\n", message.c_str());
  std::exit(1);
}

inline std::vector<std::string> readLines(const char *path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

/// The token arrays of a .npz, int64; tensors from get() borrow its memory.
class Tokens {
public:
  explicit Tokens(const char *path) : path_(path) {
    auto arrays = rtorch::archive::readNpz(path);
    if (!arrays)
      fail(arrays.message());
    arrays_ = std::move(*arrays);
  }
  rtorch::Tensor get(const std::string &name) const {
    for (const rtorch::archive::NpyArray &array : arrays_)
      if (array.name == name && array.type == rtorch::archive::NpyType{'i', 8})
        return rtorch::Tensor::borrow(rtorch::DType::Int64,
                                      const_cast<std::byte *>(array.bytes.data()),
                                      array.shape, array.strides);
    fail(path_ + ": expected an int64 array '" + name + "', but found none");
  }

private:
  std::string path_;
  std::vector<rtorch::archive::NpyArray> arrays_;
};

/// A row-major f32 array for writeNpz; borrows the tensor's memory.
inline rtorch::archive::NpyArray toNpy(std::string name, const rtorch::Tensor &tensor) {
  auto bytes = std::as_bytes(tensor.data<float>());
  auto sizes = tensor.sizes();
  return {std::move(name),
          {'f', 4},
          {sizes.begin(), sizes.end()},
          rtorch::archive::rowMajorStrides(sizes),
          bytes,
          nullptr};
}

/// A number as a 0-d array; borrows it.
inline rtorch::archive::NpyArray toNpy(std::string name, const double &number) {
  return {std::move(name), {'f', 8}, {}, {}, std::as_bytes(std::span(&number, 1)),
          nullptr};
}
