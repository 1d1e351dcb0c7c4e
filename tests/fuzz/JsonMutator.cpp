#include "tests/fuzz/JsonMutator.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

namespace rtorch::fuzz {
namespace {

using Json = nlohmann::json;
using Random = std::minstd_rand;

void collect(Json &value, std::vector<Json *> &all) {
  all.push_back(&value);
  if (value.is_structured())
    for (Json &item : value)
      collect(item, all);
}

Json extreme(Random &random) {
  constexpr int64_t kNumbers[] = {0,
                                  1,
                                  -1,
                                  2,
                                  7,
                                  13,
                                  64,
                                  255,
                                  int64_t(1) << 31,
                                  int64_t(1) << 32,
                                  int64_t(1) << 62,
                                  std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::min()};
  switch (random() % 8) {
  case 0:
    return nullptr;
  case 1:
    return random() % 2 == 0;
  case 2:
    return "Infinity";
  case 3:
    return 1e308;
  case 4:
    return Json::array();
  case 5:
    return Json::object();
  default:
    return kNumbers[random() % std::size(kNumbers)];
  }
}

void mutateText(Json &value) {
  auto &text = value.get_ref<std::string &>();
  const size_t size = text.size();
  text.resize(size + 16);
  text.resize(
      LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(text.data()), size, text.size()));
}

/// Leaves out, doubles or moves an element of a list or a member of an object.
void mutateStructure(Json &value, Random &random) {
  const auto position =
      std::next(value.begin(), std::ptrdiff_t(random() % value.size()));
  if (random() % 2 == 0) {
    value.erase(position);
  } else if (value.is_array()) {
    Json item = *position;
    value.insert(std::next(value.begin(), std::ptrdiff_t(random() % value.size())),
                 std::move(item));
  } else {
    const auto other =
        std::next(value.begin(), std::ptrdiff_t(random() % value.size()));
    std::swap(*position, *other);
  }
}

void mutateOne(Json &root, Random &random) {
  std::vector<Json *> all;
  collect(root, all);
  Json &value = *all[random() % all.size()];
  if (value.is_string() && random() % 2 == 0)
    return mutateText(value);
  if (value.is_structured() && !value.empty() && random() % 2 == 0)
    return mutateStructure(value, random);
  if (random() % 3 == 0) {
    value = extreme(random);
    return;
  }
  // A copy first: the other value may lie inside this one, or the other way round.
  Json other = *all[random() % all.size()];
  value = std::move(other);
}

} // namespace

std::string mutateJson(std::string_view text, unsigned seed) {
  Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded())
    return std::string(text);
  Random random(seed);
  for (unsigned count = 1 + random() % 4; count > 0; --count)
    mutateOne(root, random);
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace rtorch::fuzz
