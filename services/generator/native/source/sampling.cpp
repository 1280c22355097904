#include "sampling.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace csm {
namespace {

// The score that the k-th largest has: codes that tie with it stay.
float top_k_threshold(const float* scores, int size, int64_t k, std::vector<float>& scratch) {
  scratch.assign(scores, scores + size);
  auto nth = scratch.begin() + (k - 1);
  std::nth_element(scratch.begin(), nth, scratch.end(), std::greater<float>());
  return *nth;
}

// The smallest score kept when the most likely codes, up to `top_p` of probability, stay. Only
// scores of at least `floor` take part.
float top_p_threshold(const float* scores, int size, float floor, float top_p,
                      std::vector<float>& scratch) {
  scratch.clear();
  for (int i = 0; i < size; ++i)
    if (scores[i] >= floor) scratch.push_back(scores[i]);
  std::sort(scratch.begin(), scratch.end(), std::greater<float>());
  const float top = scratch.front();
  double total = 0.0;
  for (float score : scratch) total += std::exp(score - top);
  double before = 0.0;
  for (size_t i = 0; i < scratch.size(); ++i) {
    if (static_cast<float>(before) >= top_p) return i ? scratch[i - 1] : top;
    before += std::exp(scratch[i] - top) / total;
  }
  return scratch.back();
}

}  // namespace

int64_t draw(const float* logits, int size, const Draw& how, DrawScratch& scratch) {
  if (!(how.temperature > 0.0f)) return std::max_element(logits, logits + size) - logits;

  std::vector<float>& scores = scratch.scores;
  scores.resize(size);
  constexpr float never = -std::numeric_limits<float>::infinity();
  for (int i = 0; i < size; ++i) {
    const float score = logits[i] / how.temperature;
    // Sorting must not meet a NaN, which has no place in an order.
    scores[i] = score == score ? score : never;
  }
  float threshold = never;
  if (how.top_k > 0 && how.top_k < size)
    threshold = top_k_threshold(scores.data(), size, how.top_k, scratch.ordered);
  if (how.top_p < 1.0f)
    threshold = std::max(
        threshold, top_p_threshold(scores.data(), size, threshold, how.top_p, scratch.ordered));

  constexpr float tiny = std::numeric_limits<float>::min();
  int64_t best = 0;
  float most = never;
  for (int i = 0; i < size; ++i) {
    if (scores[i] < threshold) continue;
    const float race = scores[i] - std::log(std::max(how.noise[i], tiny));
    if (race > most) {
      most = race;
      best = i;
    }
  }
  return best;
}

}  // namespace csm
