#include "blocks.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "vector_math.hpp"

namespace csm {
namespace {

using simd::F32;

inline F32 get(const float* p, int n) { return simd::load_n(p, n); }
inline F32 get(const bf16* p, int n) { return simd::load_bf16_n(p, n); }

inline int at_most_lanes(int n) { return n < lanes ? n : lanes; }
inline int padded(int head_dim) { return static_cast<int>(round_up(head_dim, lanes)); }

// Vectors of sums beside each other, for so many heads: what the registers hold.
constexpr int vectors_at_once(int heads) {
  return heads * 4 <= simd::sum_budget ? 4 : heads * 2 <= simd::sum_budget ? 2 : 1;
}

// Below every score.
constexpr float none = -1e30f;

// `count` keys, each a row, become the columns of `to`.
template <class T>
void turn_keys(const T* keys, int head_dim, int count, float* to) {
  for (int from = 0; from < count; from += lanes)
    for (int i = 0; i < head_dim; i += lanes) {
      const int n = at_most_lanes(head_dim - i);
      F32 rows[lanes], columns[lanes];
      // Behind the last position the last again: computed, and not used.
      for (int t = 0; t < lanes; ++t)
        rows[t] = get(keys + static_cast<size_t>(std::min(from + t, count - 1)) * head_dim + i, n);
      simd::turn(rows, columns);
      for (int c = 0; c < n; ++c) simd::store(to + (i + c) * block_positions + from, columns[c]);
    }
}

// `count` rows of values in whole vectors of fp32: as they lie, or copied to `room`.
template <class T>
const float* widened(const T* values, int head_dim, int count, float* room) {
  if constexpr (std::is_same_v<T, float>)
    if (head_dim % lanes == 0) return values;
  float* to = room;
  for (int t = 0; t < count; ++t, values += head_dim, to += padded(head_dim))
    for (int i = 0; i < head_dim; i += lanes)
      simd::store(to + i, get(values + i, at_most_lanes(head_dim - i)));
  return room;
}

// The scores of H heads over V vectors of positions.
template <int H, int V>
void score(const float* keys, const float* queries, int head_dim, float scale, float* scores) {
  F32 totals[H][V];
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) totals[h][v] = simd::zero();
  for (int i = 0; i < head_dim; ++i, keys += block_positions) {
    F32 key[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) key[v] = simd::load(keys + v * lanes);
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const F32 query = simd::set(queries[h * head_dim + i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) totals[h][v] = simd::fma(key[v], query, totals[h][v]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      simd::store(scores + h * block_positions + v * lanes,
                  simd::mul(totals[h][v], simd::set(scale)));
}

// Scores of the `seen` positions become weights, of the largest score so far; returns by how much
// what was summed before shrinks.
float weigh(float* scores, int seen, float& largest, float* totals) {
  const int end = static_cast<int>(round_up(seen, lanes));
  const float before = largest;
  largest = std::max(before, simd::largest(largest_score(scores, seen, end)));
  const F32 top = simd::set(largest), shrinks = pow2_of_negative(simd::set(before - largest));
  F32 total = simd::mul(simd::load(totals), shrinks);
  for (int t = 0; t < end; t += lanes) {
    const F32 weight = pow2_of_negative(simd::sub(simd::load(scores + t), top));
    total = simd::add(total, weight);
    simd::store(scores + t, weight);
  }
  simd::store(totals, total);
  float each[lanes];
  simd::store(each, shrinks);
  return each[0];
}

// Adds the weighted values of a block to H heads' V vectors of columns, the last of `last` lanes.
template <int H, int V>
void blend(const float* values, int stride, int head_dim, int last, const float* weights, int seen,
           const float* shrinks, bool first, float* out) {
  const auto width = [&](int v) { return v + 1 < V ? lanes : last; };
  F32 sums[H][V];
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      // What stands there before the first block may be no number.
      sums[h][v] = first ? simd::zero()
                         : simd::mul(simd::load_n(out + h * head_dim + v * lanes, width(v)),
                                     simd::set(shrinks[h]));
  for (int t = 0; t < seen; ++t, values += stride) {
    F32 value[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) value[v] = simd::load(values + v * lanes);
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const F32 weight = simd::set(weights[h * block_positions + t]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[h][v] = simd::fma(value[v], weight, sums[h][v]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      simd::store_n(out + h * head_dim + v * lanes, sums[h][v], width(v));
}

// H heads of a row over one block.
template <int H>
void attend_together(const float* keys, const float* values, int head_dim, int seen, bool first,
                     const float* queries, float* out, float* largest, float* totals) {
  constexpr int wide = vectors_at_once(H);
  // log2(e): weights are powers of two.
  const float scale = 1.44269504f / std::sqrt(static_cast<float>(head_dim));
  float weights[H * block_positions], shrinks[H];
  int t = 0;
  for (; t + (wide - 1) * lanes < seen; t += wide * lanes)
    score<H, wide>(keys + t, queries, head_dim, scale, weights + t);
  for (; t < seen; t += lanes) score<H, 1>(keys + t, queries, head_dim, scale, weights + t);
  for (int h = 0; h < H; ++h)
    shrinks[h] = weigh(weights + h * block_positions, seen, largest[h], totals + h * lanes);
  const int stride = padded(head_dim);
  int i = 0;
  for (; i + (wide - 1) * lanes < head_dim; i += wide * lanes)
    blend<H, wide>(values + i, stride, head_dim, at_most_lanes(head_dim - i - (wide - 1) * lanes),
                   weights, seen, shrinks, first, out + i);
  for (; i < head_dim; i += lanes)
    blend<H, 1>(values + i, stride, head_dim, at_most_lanes(head_dim - i), weights, seen, shrinks,
                first, out + i);
}

// A row's whole group over one block: heads by fours.
void attend_over(const float* keys, const float* values, int head_dim, int group, int seen,
                 bool first, const BlockRow& row, float* largest, float* totals) {
  for (int head = 0; head < group; head += 4) {
    const auto by = [&](auto together) {
      together(keys, values, head_dim, seen, first, row.queries + head * head_dim,
               row.out + head * head_dim, largest + head, totals + head * lanes);
    };
    switch (std::min(group - head, 4)) {
      case 4: by(attend_together<4>); break;
      case 3: by(attend_together<3>); break;
      case 2: by(attend_together<2>); break;
      default: by(attend_together<1>);
    }
  }
}

void finish(float* out, int head_dim, const float* totals) {
  const F32 factor = simd::set(1.0f / simd::sum(simd::load(totals)));
  for (int i = 0; i < head_dim; i += lanes) {
    const int n = at_most_lanes(head_dim - i);
    simd::store_n(out + i, simd::mul(simd::load_n(out + i, n), factor), n);
  }
}

}  // namespace

void BlockScratch::reserve(int rows, int group, int head_dim) {
  keys.reserve(static_cast<size_t>(head_dim) * block_positions);
  values.reserve(static_cast<size_t>(padded(head_dim)) * block_positions);
  largest.reserve(static_cast<size_t>(rows) * group);
  totals.reserve(static_cast<size_t>(rows) * group * lanes);
}

template <class T>
void attend_in_blocks(BlockScratch& scratch, const T* keys, const T* values, int head_dim,
                      int group, const BlockRow* rows, int count) {
  std::fill_n(scratch.largest.data(), count * group, none);
  std::fill_n(scratch.totals.data(), count * group * lanes, 0.0f);
  const int longest = rows[count - 1].length;
  for (int from = 0; from < longest; from += block_positions) {
    const int there = std::min(block_positions, longest - from);
    const size_t at = static_cast<size_t>(from) * head_dim;
    turn_keys(keys + at, head_dim, there, scratch.keys.data());
    const float* wide = widened(values + at, head_dim, there, scratch.values.data());
    for (int row = 0; row < count; ++row) {
      const int seen = std::min(block_positions, rows[row].length - from);
      if (seen <= 0) continue;
      attend_over(scratch.keys.data(), wide, head_dim, group, seen, from == 0, rows[row],
                  scratch.largest.data() + row * group,
                  scratch.totals.data() + row * group * lanes);
    }
  }
  for (int row = 0; row < count; ++row)
    for (int head = 0; head < group; ++head)
      finish(rows[row].out + head * head_dim, head_dim,
             scratch.totals.data() + (row * group + head) * lanes);
}

template void attend_in_blocks(BlockScratch&, const float*, const float*, int, int,
                               const BlockRow*, int);
template void attend_in_blocks(BlockScratch&, const bf16*, const bf16*, int, int,
                               const BlockRow*, int);

}  // namespace csm
