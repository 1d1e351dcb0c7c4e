#include "compiler/import/SourceTrace.h"

#include <catch2/catch.hpp>

using namespace rtorch::importer;

namespace {

const char kTrace[] =
    "  File \"/home/me/project/train.py\", line 12, in forward\n"
    "    h = self.net(x)\n"
    "  File \"/home/me/project/nets/block.py\", line 3, in forward\n"
    "    return self.fc(x)\n"
    "           ^^^^^^^^^^\n"
    "  File \"/usr/lib/python3/site-packages/torch/nn/modules/linear.py\", line 134, "
    "in "
    "forward\n"
    "    return F.linear(\n";

} // namespace

TEST_CASE("the user's innermost frame is chosen", "[source]") {
  std::vector<TraceFrame> frames = parseStackTrace(kTrace);
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].isUser);
  CHECK_FALSE(frames[2].isUser);
  std::optional<SourceLocation> location = chooseFrame(frames);
  REQUIRE(location);
  CHECK(location->file == "/home/me/project/nets/block.py");
  CHECK(location->line == 3);
  CHECK(location->function == "forward");
  CHECK(location->code == "return self.fc(x)");
}

TEST_CASE("without a frame of the user the innermost one is chosen", "[source]") {
  auto location = chooseFrame(parseStackTrace(
      "File \"torch/fx/passes/runtime_assert.py\", line 24, in insert_asserts"));
  REQUIRE(location);
  CHECK(location->str() == "torch/fx/passes/runtime_assert.py:24");
  CHECK_FALSE(chooseFrame(parseStackTrace("")));
  CHECK_FALSE(chooseFrame(parseStackTrace("no frame\nFile \"x, line 3")));
  CHECK_FALSE(chooseFrame(parseStackTrace("File \"x\", line y, in z")));
}

TEST_CASE("files are relative to their longest common folder", "[source]") {
  std::optional<std::string> common;
  extendCommonFolder(common, "/home/me/project/nets/block.py");
  CHECK(common == "/home/me/project/nets/");
  extendCommonFolder(common, "/home/me/project/nets2/other.py");
  CHECK(common == "/home/me/project/");
  CHECK(relativeFile("/home/me/project/nets/block.py", *common) == "nets/block.py");
  CHECK(relativeFile("/x/site-packages/transformers/bert.py", *common) ==
        "transformers/bert.py");
  CHECK(relativeFile("/elsewhere/a.py", *common) == "/elsewhere/a.py");
  extendCommonFolder(common, "model.py");
  CHECK(common == "");
  CHECK(relativeFile("/home/a.py", *common) == "/home/a.py");
}
