// Recognises digits with the network that train.py trained.
// usage: mnist_predict MODULE CHECKPOINT IMAGES.idx LABELS.idx [PREDICTIONS.txt]
#include "runtime/include/rtorch/checkpoint.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

[[noreturn]] static void fail(const std::string &message) {
  std::fprintf(stderr, "mnist_predict: %s\n", message.c_str());
  std::exit(1);
}

/// The bytes of an IDX file, the form in which MNIST is published: 0, 0, 8 for bytes,
/// the number of dims, and each size as 32 bits, the most significant first.
struct Idx {
  std::vector<int64_t> sizes;
  std::vector<unsigned char> bytes;
};

static Idx readIdx(const char *path, size_t rank) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    fail(std::string("cannot read '") + path + "'");
  const std::vector<unsigned char> file{std::istreambuf_iterator<char>(stream), {}};
  const size_t header = 4 + 4 * rank;
  if (file.size() < header || file[0] || file[1] || file[2] != 8 || file[3] != rank)
    fail(std::string("'") + path + "': expected an IDX file of bytes with " +
         std::to_string(rank) + " dims");
  Idx out;
  size_t count = 1;
  for (size_t at = 4; at < header; at += 4) {
    const uint32_t size = uint32_t(file[at]) << 24 | uint32_t(file[at + 1]) << 16 |
                          uint32_t(file[at + 2]) << 8 | file[at + 3];
    if (size && count > file.size() / size)
      fail(std::string("'") + path + "' is shorter than its sizes tell");
    out.sizes.push_back(size);
    count *= size;
  }
  if (file.size() != header + count)
    fail(std::string("'") + path + "': expected " + std::to_string(header + count) +
         " bytes, but got " + std::to_string(file.size()));
  out.bytes.assign(file.begin() + ptrdiff_t(header), file.end());
  return out;
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 6)
    fail("expected MODULE CHECKPOINT IMAGES.idx LABELS.idx [PREDICTIONS.txt]");
  auto checkpoint = rtorch::Checkpoint::open(argv[2]);
  if (!checkpoint)
    fail(checkpoint.error().message);
  auto weights = checkpoint->weights();
  if (!weights)
    fail(weights.error().message);
  auto module = rtorch::Module::load(argv[1], {.weights = *weights});
  if (!module)
    fail(module.error().message);

  const Idx pixels = readIdx(argv[3], 3), labels = readIdx(argv[4], 1);
  const int64_t count = pixels.sizes[0];
  if (count == 0 || labels.sizes[0] != count)
    fail("expected a label for each image, but got " + std::to_string(count) +
         " images and " + std::to_string(labels.sizes[0]) + " labels");
  std::vector<float> images(pixels.bytes.size());
  std::ranges::transform(pixels.bytes, images.begin(),
                         [](unsigned char pixel) { return float(pixel) / 255; });
  auto results = module->run(
      {rtorch::Tensor::borrow(images, {count, 1, pixels.sizes[1], pixels.sizes[2]})});
  if (!results)
    fail(results.error().message);

  const rtorch::Tensor &scores = (*results)[0].tensor(); // [images, digits]
  std::ofstream predictions;
  if (argc == 6)
    predictions.open(argv[5]);
  int64_t right = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto row = std::span(&scores.at<float>({i, 0}), size_t(scores.size(1)));
    const auto digit = std::ranges::max_element(row) - row.begin();
    right += digit == labels.bytes[size_t(i)];
    if (argc == 6)
      predictions << digit << '\n';
  }
  if (argc == 6 && !predictions.flush())
    fail(std::string("cannot write '") + argv[5] + "'");
  std::printf("accuracy %.4f: %lld of %lld\n", double(right) / double(count),
              static_cast<long long>(right), static_cast<long long>(count));
}
