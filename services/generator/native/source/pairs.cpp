#include "pairs.hpp"

#include <cmath>

#include "vector_math.hpp"

namespace csm {

#ifdef CSM_PAIRS

namespace {

using simd::F32;
using simd::Pairs;

// Blocks of sixteen positions whose scores are summed at once, for up to four heads, and runs of 32
// columns: as the registers hold sums.
constexpr int blocks_at_once = simd::sum_budget >= 16 ? 4 : 1;
constexpr int columns_at_once = simd::sum_budget >= 16 ? 2 : 1;
int blocks_of(int length) { return (length + lanes - 1) / lanes; }

uint32_t pair_of(float first, float second) {
  return narrow(first) | static_cast<uint32_t>(narrow(second)) << 16;
}

// The scores of H heads over B blocks from `turned` on.
template <int H, int B>
void score(const uint32_t* turned, const uint32_t* queries, int pairs, float scale, float* scores,
           size_t stride) {
  F32 totals[H][B];
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) totals[h][b] = simd::zero();
  for (int i = 0; i < pairs; ++i) {
    Pairs key[B];
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) key[b] = simd::load_raw_pairs(turned + (b * pairs + i) * lanes);
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const Pairs query = simd::spread_pair(queries[h * most_pairs + i]);
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) totals[h][b] = simd::dot_pairs(totals[h][b], query, key[b]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b)
      simd::store(scores + h * stride + b * lanes, simd::mul(totals[h][b], simd::set(scale)));
}

// 2 to the x for what is rounded to bf16 afterwards: within 1e-4, a twentieth of that rounding; 0
// below the smallest float.
F32 pow2_roughly(F32 x) {
  const F32 n = simd::round(x), f = simd::sub(x, n);
  F32 p = simd::set(5.5171670e-2f);
  p = simd::fma(p, f, simd::set(2.4261115e-1f));
  p = simd::fma(p, f, simd::set(6.9326099e-1f));
  p = simd::fma(p, f, simd::set(9.9992807e-1f));
  return simd::scale_pow2(p, n);
}

// out[h, 32 V] = the weighted sums of 32 V columns of the values.
template <int H, int V>
void blend(const bf16* values, int head_dim, const uint32_t* const* weights, const float* scale,
           int length, float* out) {
  F32 low[H][V], high[H][V];
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) low[h][v] = high[h][v] = simd::zero();
  for (int t = 0; t < length; t += 2) {
    const bf16* value = values + static_cast<size_t>(t) * head_dim;
    // Behind the last position the last again, with weight 0.
    const bf16* next = t + 1 < length ? value + head_dim : value;
    Pairs first[V], second[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      simd::zip(simd::load_raw_pairs(value + 2 * lanes * v),
                simd::load_raw_pairs(next + 2 * lanes * v), first[v], second[v]);
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const Pairs weight = simd::spread_pair(weights[h][t / 2]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        low[h][v] = simd::dot_pairs(low[h][v], weight, first[v]);
        high[h][v] = simd::dot_pairs(high[h][v], weight, second[v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h) {
    const F32 factor = simd::set(scale[h]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      simd::store_zipped(out + h * head_dim + 2 * lanes * v, simd::mul(low[h][v], factor),
                         simd::mul(high[h][v], factor));
  }
}

template <int H>
void blend_all(const bf16* values, int head_dim, const uint32_t* const* weights,
               const float* scale, int length, float* out) {
  if constexpr (2 * H > simd::sum_budget) {
    constexpr int half = H / 2;
    blend_all<half>(values, head_dim, weights, scale, length, out);
    blend_all<H - half>(values, head_dim, weights + half, scale + half, length,
                        out + half * head_dim);
  } else {
    constexpr int wide = columns_at_once;
    int i = 0;
    for (; i + 2 * lanes * wide <= head_dim; i += 2 * lanes * wide)
      blend<H, wide>(values + i, head_dim, weights, scale, length, out + i);
    if (i < head_dim) blend<H, 1>(values + i, head_dim, weights, scale, length, out + i);
  }
}

template <int H>
void attend_together(const uint32_t* turned, const bf16* values, int head_dim, int length,
                     const float* queries, float* out, float* scores, size_t stride) {
  const int pairs = head_dim / 2, blocks = blocks_of(length);
  uint32_t rounded[H * most_pairs];
  for (int h = 0; h < H; ++h)
    for (int i = 0; i < pairs; ++i)
      rounded[h * most_pairs + i] =
          pair_of(queries[h * head_dim + 2 * i], queries[h * head_dim + 2 * i + 1]);
  // log2(e): weights are powers of two.
  const float scale = 1.44269504f / std::sqrt(static_cast<float>(head_dim));
  const size_t block_size = static_cast<size_t>(pairs) * lanes;
  int block = 0;
  for (; block + blocks_at_once <= blocks; block += blocks_at_once)
    score<H, blocks_at_once>(turned + block * block_size, rounded, pairs, scale,
                             scores + block * lanes, stride);
  for (; block < blocks; ++block)
    score<H, 1>(turned + block * block_size, rounded, pairs, scale, scores + block * lanes, stride);
  const uint32_t* weights[H];
  float factors[H];
  for (int h = 0; h < H; ++h) {
    factors[h] = weigh(scores + h * stride, length);
    weights[h] = reinterpret_cast<const uint32_t*>(scores + h * stride);
  }
  blend_all<H>(values, head_dim, weights, factors, length, out);
}

}  // namespace

float weigh(float* scores, int length) {
  const int end = static_cast<int>(round_up(length, 2 * lanes));
  const F32 top = largest_score(scores, length, end);
  const Pairs ones = simd::spread_pair(pair_of(1.0f, 1.0f));
  F32 total = simd::zero();
  bf16* weights = reinterpret_cast<bf16*>(scores);
  for (int t = 0; t < end; t += 2 * lanes) {
    // Both vectors are read before their half of the memory is written. What was rounded is what is
    // summed, so that the weights add up to one.
    const F32 first = pow2_roughly(simd::sub(simd::load(scores + t), top));
    const F32 second = pow2_roughly(simd::sub(simd::load(scores + t + lanes), top));
    const Pairs rounded = simd::narrow_pairs(first, second);
    simd::store_raw_pairs(weights + t, rounded);
    total = simd::dot_pairs(total, rounded, ones);
  }
  return 1.0f / simd::sum(total);
}

void TurnedKeys::reserve(int max_positions, int head_dim) {
  pairs_.reserve(static_cast<size_t>(blocks_of(max_positions)) * lanes * (head_dim / 2));
  forget();
}

const uint32_t* TurnedKeys::turn(const bf16* keys, int head_dim, int length) {
  if (keys != of_) whole_ = 0;
  of_ = keys;
  const int pairs = head_dim / 2, blocks = blocks_of(length);
  for (int block = whole_; block < blocks; ++block) {
    uint32_t* to = pairs_.data() + static_cast<size_t>(block) * pairs * lanes;
    for (int i = 0; i < pairs; i += lanes) {
      Pairs rows[lanes], columns[lanes];
      for (int t = 0; t < lanes; ++t) {
        // Behind the last position the last again: computed, and not used.
        const int position = block * lanes + t;
        const size_t row = position < length ? position : length - 1;
        rows[t] = simd::load_raw_pairs(keys + row * head_dim + 2 * i);
      }
      simd::turn(rows, columns);
      for (int c = 0; c < lanes; ++c) simd::store_raw_pairs(to + (i + c) * lanes, columns[c]);
    }
  }
  whole_ = length / lanes;
  return pairs_.data();
}

void attend_in_pairs(TurnedKeys& turned, const bf16* keys, const bf16* values, int head_dim,
                     int length, int heads, const float* queries, float* out, float* scores,
                     size_t stride) {
  const uint32_t* pairs = turned.turn(keys, head_dim, length);
  switch (heads) {
    case 4: return attend_together<4>(pairs, values, head_dim, length, queries, out, scores, stride);
    case 3: return attend_together<3>(pairs, values, head_dim, length, queries, out, scores, stride);
    case 2: return attend_together<2>(pairs, values, head_dim, length, queries, out, scores, stride);
    default: attend_together<1>(pairs, values, head_dim, length, queries, out, scores, stride);
  }
}

#else

float weigh(float*, int) { return 0.0f; }
void TurnedKeys::reserve(int, int) {}
const uint32_t* TurnedKeys::turn(const bf16*, int, int) { return nullptr; }
void attend_in_pairs(TurnedKeys&, const bf16*, const bf16*, int, int, int, const float*, float*,
                     float*, size_t) {}

#endif

}  // namespace csm
