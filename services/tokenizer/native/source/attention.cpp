#include "attention.hpp"

#include <algorithm>
#include <cmath>

#include "vector_math.hpp"

namespace csm {
namespace {

using simd::F32;

// Pairs (i, i + half), as Hugging Face orders the rows of queries and keys.
void rotate(const float* x, int half, const float* cosines, const float* sines, float* out) {
  for (int i = 0; i < half; ++i) {
    const float low = x[i], high = x[i + half];
    out[i] = low * cosines[i] - high * sines[i];
    out[i + half] = high * cosines[i] + low * sines[i];
  }
}

// The visible part of a ring, oldest first: `first` places from `start`, the others from 0.
struct Visible {
  int start, first, length;

  int place(int index) const { return index < first ? start + index : index - first; }
};

Visible visible(int64_t position, int window) {
  const int64_t oldest = std::max<int64_t>(0, position - window + 1);
  const int start = static_cast<int>(oldest % window);
  const int length = static_cast<int>(position - oldest) + 1;
  return {start, std::min(length, window - start), length};
}

void score(const float* keys, const Visible& seen, const float* query, int padded, float scale,
           float* scores) {
  for (int t = 0; t < seen.length; ++t) {
    const float* key = keys + static_cast<size_t>(seen.place(t)) * padded;
    F32 total = simd::zero();
    for (int i = 0; i < padded; i += lanes)
      total = simd::fma(simd::load(key + i), simd::load(query + i), total);
    scores[t] = simd::sum(total) * scale;
  }
}

// V vectors of a head at once, each a sum over the visible values.
template <int V>
void blend(const float* values, const Visible& seen, int padded, const float* scores, int count,
           float* out) {
  F32 totals[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) totals[v] = simd::zero();
  for (int t = 0; t < seen.length; ++t) {
    const float* value = values + static_cast<size_t>(seen.place(t)) * padded;
    const F32 weight = simd::set(scores[t]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      totals[v] = simd::fma(simd::load(value + v * lanes), weight, totals[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int left = count - v * lanes;
    simd::store_n(out + v * lanes, totals[v], left < lanes ? left : lanes);
  }
}

}  // namespace

void AttentionScratch::reserve(const HeadShape& shape) {
  queries.reserve(static_cast<size_t>(shape.padded_dim()));
  scores.reserve(round_up(shape.window, lanes));
}

void attend(const HeadShape& shape, const Ring& ring, int kv_head, int64_t position, int time,
            const float* qkv, const float* cosines, const float* sines, float* attended,
            AttentionScratch& scratch) {
  const int dim = shape.head_dim, padded = shape.padded_dim(), half = dim / 2;
  const int group = shape.group(), width = shape.qkv_width();
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  float* keys = ring.keys + static_cast<size_t>(kv_head) * shape.window * padded;
  float* values = ring.values + static_cast<size_t>(kv_head) * shape.window * padded;
  float* query = scratch.queries.data();
  float* scores = scratch.scores.data();
  for (int t = 0; t < time; ++t, ++position) {
    const float* row = qkv + static_cast<size_t>(t) * width;
    const float* cosine = cosines + static_cast<size_t>(t) * half;
    const float* sine = sines + static_cast<size_t>(t) * half;
    const size_t place = static_cast<size_t>(position % shape.window) * padded;
    rotate(row + (shape.heads + kv_head) * dim, half, cosine, sine, keys + place);
    std::memcpy(values + place, row + (shape.heads + shape.kv_heads + kv_head) * dim,
                dim * sizeof(float));
    const Visible seen = visible(position, shape.window);
    for (int g = 0; g < group; ++g) {
      const int head = kv_head * group + g;
      rotate(row + head * dim, half, cosine, sine, query);
      score(keys, seen, query, padded, scale, scores);
      softmax(scores, seen.length);
      float* out = attended + static_cast<size_t>(t) * shape.heads * dim + head * dim;
      int i = 0;
      for (; i + 4 * lanes <= padded; i += 4 * lanes)
        blend<4>(values + i, seen, padded, scores, dim - i, out + i);
      for (; i < padded; i += lanes) blend<1>(values + i, seen, padded, scores, dim - i, out + i);
    }
  }
}

}  // namespace csm
