// Writes the modules that the other programs of this folder load.
#include "tests/unit/runtime/TestModules.h"

#include <catch2/catch.hpp>
#include <cstdlib>

TEST_CASE("write the modules") {
  const char *folder = std::getenv("CAPI_FOLDER");
  REQUIRE(folder != nullptr);
  const std::filesystem::path path = folder;
  using namespace rtorch::test;
  CHECK_FALSE(scaleModule().write(path / "scale.rtm").has_value());
  CHECK_FALSE(embeddingModule().write(path / "embedding.rtm").has_value());
  CHECK_FALSE(statefulModule().write(path / "stateful.rtm").has_value());
}
