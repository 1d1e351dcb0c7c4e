// Reads the cases that eager_cases.py writes and compares the stride algebra's answers
// with eager PyTorch's, strides of size-1 dims included. Exit status 1 on a mismatch.
#include "runtime/layout/Layout.h"

#include <fstream>
#include <iostream>
#include <sstream>

using namespace rtorch::layout;

namespace {

struct Case {
  std::string op;
  std::vector<Layout> operands;
  std::vector<int64_t> arguments;
  std::string answer;
};

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);)
    parts.push_back(part);
  return parts;
}

std::string trimmed(const std::string &text) {
  size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos
             ? ""
             : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<int64_t> readNumbers(const std::string &text) {
  std::vector<int64_t> numbers;
  if (text != "-")
    for (const std::string &part : split(text, ','))
      numbers.push_back(std::stoll(part));
  return numbers;
}

Dims readDims(const std::string &text) {
  std::vector<int64_t> numbers = readNumbers(text);
  return Dims(numbers.begin(), numbers.end());
}

Layout readLayout(const std::string &text) {
  std::vector<std::string> parts = split(text, '/');
  return {readDims(parts.at(0)), readDims(parts.at(1)), Expr(std::stoll(parts.at(2)))};
}

Case readCase(const std::string &line) {
  std::vector<std::string> parts = split(line, '|');
  Case result{trimmed(parts.at(0)),
              {},
              readNumbers(trimmed(parts.at(2))),
              trimmed(parts.at(3))};
  for (const std::string &part : split(trimmed(parts.at(1)), ' '))
    if (!part.empty())
      result.operands.push_back(readLayout(part));
  return result;
}

std::string print(const Dims &dims) {
  std::string text;
  for (const Expr &dim : dims) {
    if (!text.empty())
      text += ',';
    text += dim.str();
  }
  return text.empty() ? "-" : text;
}

std::string print(const std::optional<Layout> &x) {
  return x ? print(x->sizes) + "/" + print(x->strides) + "/" + x->offset.str() : "none";
}

std::string print(bool value) { return value ? "1" : "0"; }

std::optional<Layout> pointwise(const std::vector<Layout> &operands, Guards &guards) {
  std::vector<Dims> sizes;
  for (const Layout &operand : operands)
    sizes.push_back(operand.sizes);
  std::optional<Dims> result = broadcastSizes(sizes, guards);
  if (!result)
    return std::nullopt;
  return Layout{*result, pointwiseStrides(*result, operands, guards), 0};
}

MemoryFormat channelsLast(const Layout &x) {
  return x.rank() == 5 ? MemoryFormat::ChannelsLast3d : MemoryFormat::ChannelsLast;
}

std::string answerPredicate(const Case &c, const Layout &x, Guards &guards) {
  if (c.op == "is_contiguous")
    return print(isContiguous(x, guards));
  if (c.op == "is_channels_last")
    return print(isContiguous(x, channelsLast(x), guards));
  if (c.op == "is_dense")
    return print(isDense(x, guards));
  if (c.op == "suggest")
    return print(suggestMemoryFormat(x, guards) != MemoryFormat::Contiguous);
  if (c.op == "overlap")
    return print(mayOverlap(x, c.operands.at(1), guards) == Answer::Proven);
  return "unknown op " + c.op;
}

std::string answer(const Case &c, Guards &guards) {
  const std::vector<int64_t> &args = c.arguments;
  Dims sizes(args.begin(), args.end());
  if (c.op == "contiguous")
    return print(Layout{sizes, contiguousStrides(sizes), 0});
  if (c.op == "pointwise")
    return print(pointwise(c.operands, guards));
  const Layout &x = c.operands.at(0);
  if (c.op == "preserve")
    return print(Layout{x.sizes, preserveStrides(x, guards), 0});
  if (c.op == "view")
    return print(viewAs(x, sizes, guards));
  if (c.op == "expand")
    return print(expandTo(x, sizes, guards));
  if (c.op == "permute")
    return print(permuteDims(x, args));
  if (c.op == "slice")
    return print(sliceDim(x, args.at(0), args.at(1), args.at(2), args.at(3), guards));
  if (c.op == "select")
    return print(selectIndex(x, args.at(0), args.at(1)));
  if (c.op == "unsqueeze")
    return print(unsqueezeDim(x, args.at(0)));
  if (c.op == "squeeze")
    return print(squeezeDims(x, args, guards));
  if (c.op == "diagonal")
    return print(diagonalOf(x, args.at(0), args.at(1), args.at(2), guards));
  if (c.op == "unfold")
    return print(unfoldDim(x, args.at(0), args.at(1), args.at(2)));
  return answerPredicate(c, x, guards);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: rtorch_layout_check CASES\n";
    return 2;
  }
  std::ifstream file(argv[1]);
  if (!file) {
    std::cerr << "cannot open " << argv[1] << "\n";
    return 1;
  }
  size_t count = 0, mismatches = 0;
  for (std::string line; std::getline(file, line); ++count) {
    Guards guards;
    std::string ours = answer(readCase(line), guards);
    if (ours == readCase(line).answer && guards.recorded().empty())
      continue;
    if (++mismatches <= 20)
      std::cerr << line << "\n  ours: " << ours << "\n";
  }
  std::cout << count << " cases, " << mismatches << " mismatches\n";
  return mismatches == 0 && count > 0 ? 0 : 1;
}
