// Finds the sentences closest in meaning to each query, by MiniLM compiled with rtorch.
// usage: semantic_search MODULE TOKENS.npz SENTENCES.txt QUERIES.txt EMBEDDINGS.npz
#include "files.h"

#include <algorithm>
#include <chrono>
#include <numeric>

struct Embedded {
  rtorch::Tensor vectors; // f32 [texts, width], each of length 1
  double milliseconds;    // of one call on one thread, the median of 20
};

static Embedded embed(const rtorch::Module &module, const Tokens &tokens,
                      const std::string &name) {
  const rtorch::Value inputs[] = {tokens.get(name + "_ids"),
                                  tokens.get(name + "_mask")};
  Embedded out;
  std::vector<double> times;
  for (int call = 0; call <= 20; ++call) {
    const auto begin = std::chrono::steady_clock::now();
    auto results = module.run(inputs, {.threads = 1});
    const std::chrono::duration<double, std::milli> time =
        std::chrono::steady_clock::now() - begin;
    if (!results)
      fail(results.error().message);
    out.vectors = (*results)[0].tensor();
    if (call > 0) // the first one plans its memory
      times.push_back(time.count());
  }
  std::ranges::sort(times);
  out.milliseconds = (times[9] + times[10]) / 2;
  return out;
}

/// The three texts with the largest dot products, which are cosines here.
static void printMatches(const float *query, const rtorch::Tensor &vectors,
                         const std::vector<std::string> &texts) {
  const int64_t width = vectors.size(1);
  std::vector<std::pair<float, std::string>> matches;
  for (size_t i = 0; i < texts.size(); ++i) {
    const float *vector = &vectors.at<float>({int64_t(i), 0});
    matches.emplace_back(std::inner_product(query, query + width, vector, 0.0f),
                         texts[i]);
  }
  std::ranges::sort(matches, std::greater());
  for (const auto &[similarity, text] : std::span(matches).first(3))
    std::printf("  %.6f  %s\n", similarity, text.c_str());
}

int main(int argc, char **argv) {
  if (argc != 6)
    fail("expected MODULE TOKENS.npz SENTENCES.txt QUERIES.txt EMBEDDINGS.npz");
  auto module = rtorch::Module::load(argv[1]);
  if (!module)
    fail(module.error().message);
  const Tokens tokens(argv[2]);
  const auto texts = readLines(argv[3]), questions = readLines(argv[4]);
  const Embedded sentences = embed(*module, tokens, "sentences");
  const Embedded queries = embed(*module, tokens, "queries");
  if (sentences.vectors.size(0) != int64_t(texts.size()) || texts.size() < 3 ||
      queries.vectors.size(0) != int64_t(questions.size()))
    fail("the texts are not those that the tokens were made of");

  for (size_t i = 0; i < questions.size(); ++i) {
    std::printf("%s\n", questions[i].c_str());
    printMatches(&queries.vectors.at<float>({int64_t(i), 0}), sentences.vectors, texts);
  }
  std::printf("rtorch, 1 thread: %.2f ms for %zu sentences, %.2f ms for %zu queries\n",
              sentences.milliseconds, texts.size(), queries.milliseconds,
              questions.size());

  const rtorch::archive::NpyArray arrays[] = {
      toNpy("sentences", sentences.vectors),
      toNpy("sentences_ms", sentences.milliseconds), toNpy("queries", queries.vectors),
      toNpy("queries_ms", queries.milliseconds)};
  if (auto status = rtorch::archive::writeNpz(argv[5], arrays); !status)
    fail(status.message());
}
