#include "attention.hpp"

#include <cmath>

#include "vector_math.hpp"

namespace csm {
namespace {

using simd::F32;

// The two things a cache can be made of.
inline F32 get(const float* p, int n) { return simd::load_n(p, n); }
inline F32 get(const bf16* p, int n) { return simd::load_bf16_n(p, n); }
inline void put(float* p, F32 x, int n) { simd::store_n(p, x, n); }
inline void put(bf16* p, F32 x, int n) { simd::store_bf16_n(p, x, n); }

// A head's scores: whole runs of what pairs.cpp rounds at once.
size_t score_stride(int max_positions) { return round_up(max_positions, 2 * lanes); }

inline int at_most_lanes(int n) { return n < lanes ? n : lanes; }

size_t offset(const Cache& cache, const HeadShape& shape, const Place& place, int position) {
  size_t row = place.layer;
  row = row * cache.slots + place.slot;
  row = row * shape.kv_heads + place.kv_head;
  return (row * cache.max_positions + position) * shape.head_dim;
}

void rotate(float* x, int half, const float* cosines, const float* sines) {
  for (int i = 0; i < half; ++i) {
    const float first = x[i], second = x[i + half];
    x[i] = first * cosines[i] - second * sines[i];
    x[i + half] = second * cosines[i] + first * sines[i];
  }
}

template <class T>
void copy(const float* from, T* to, int count) {
  for (int i = 0; i < count; i += lanes) {
    const int n = at_most_lanes(count - i);
    put(to + i, simd::load_n(from + i, n), n);
  }
}

// Dot products that are summed at once: what the registers hold.
constexpr int tile = simd::sum_budget >= 16 ? 16 : 4;

// scores[g, t] = q[g] . key[t] / sqrt(head_dim), for G heads of a group; each key is read once for
// them. A score is summed in the same order wherever in a tile it lies.
template <int G, class T>
void score(const T* keys, const float* queries, int head_dim, int length, float* scores,
           size_t stride) {
  constexpr int steps = tile / G;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  for (int start = 0; start < length; start += steps) {
    const int count = length - start < steps ? length - start : steps;
    const T* key[steps];
    // Behind the last position the last again: computed, and not stored.
    for (int t = 0; t < steps; ++t)
      key[t] = keys + static_cast<size_t>(start + (t < count ? t : count - 1)) * head_dim;
    F32 totals[tile];
#pragma GCC unroll 16
    for (int i = 0; i < tile; ++i) totals[i] = simd::zero();
    for (int i = 0; i < head_dim; i += lanes) {
      const int n = at_most_lanes(head_dim - i);
      F32 query[G];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) query[g] = simd::load_n(queries + g * head_dim + i, n);
#pragma GCC unroll 16
      for (int t = 0; t < steps; ++t) {
        const F32 part = get(key[t] + i, n);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g)
          totals[g * steps + t] = simd::fma(part, query[g], totals[g * steps + t]);
      }
    }
    float found[tile];
    simd::sums(totals, found);
    for (int g = 0; g < G; ++g)
      for (int t = 0; t < count; ++t)
        scores[g * stride + start + t] = found[g * steps + t] * scale;
  }
}

// out[g, i] = sum over t of scores[g, t] * value[t, i], for G heads of a group and V vectors of
// lanes, the last of `last` lanes: so many sums at once that none waits for the one before it.
template <int G, int V, class T>
void blend(const T* values, int head_dim, int last, const float* scores, size_t stride, int length,
           float* out) {
  F32 totals[G][V];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) totals[g][v] = simd::zero();
  for (int t = 0; t < length; ++t, values += head_dim) {
    F32 value[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) value[v] = get(values + v * lanes, v + 1 < V ? lanes : last);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const F32 weight = simd::set(scores[g * stride + t]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) totals[g][v] = simd::fma(value[v], weight, totals[g][v]);
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      simd::store_n(out + g * head_dim + v * lanes, totals[g][v], v + 1 < V ? lanes : last);
}

template <int G, class T>
void attend_together(const T* keys, const T* values, int head_dim, int length,
                     const float* queries, float* out, float* scores, size_t stride) {
  score<G>(keys, queries, head_dim, length, scores, stride);
  for (int g = 0; g < G; ++g) softmax(scores + g * stride, length);
  constexpr int wide = tile / 4;
  int i = 0;
  for (; i + (wide - 1) * lanes < head_dim; i += wide * lanes) {
    const int last = at_most_lanes(head_dim - i - (wide - 1) * lanes);
    blend<G, wide>(values + i, head_dim, last, scores, stride, length, out + i);
  }
  for (; i < head_dim; i += lanes)
    blend<G, 1>(values + i, head_dim, at_most_lanes(head_dim - i), scores, stride, length, out + i);
}

// Heads of a group, up to four at once, by `together(heads, first head)`.
template <class F>
void by_fours(int group, const F& together) {
  for (int first = 0; first < group; first += 4)
    together(group - first < 4 ? group - first : 4, first);
}

template <class T>
void attend_in(const T* keys, const T* values, const HeadShape& shape, int length,
               const float* queries, float* out, float* scores, size_t stride) {
  const int dim = shape.head_dim;
  by_fours(shape.group(), [&](int heads, int first) {
    const float* own = queries + first * dim;
    float* to = out + first * dim;
    switch (heads) {
      case 4: return attend_together<4>(keys, values, dim, length, own, to, scores, stride);
      case 3: return attend_together<3>(keys, values, dim, length, own, to, scores, stride);
      case 2: return attend_together<2>(keys, values, dim, length, own, to, scores, stride);
      default: attend_together<1>(keys, values, dim, length, own, to, scores, stride);
    }
  });
}

}  // namespace

void remember(const Cache& cache, const HeadShape& shape, const Place& place, float* qkv,
              const float* cosines, const float* sines) {
  const int half = shape.head_dim / 2, group = shape.group();
  for (int g = 0; g < group; ++g)
    rotate(qkv + (place.kv_head * group + g) * shape.head_dim, half, cosines, sines);
  float* key = qkv + (shape.heads + place.kv_head) * shape.head_dim;
  const float* value = key + shape.kv_heads * shape.head_dim;
  rotate(key, half, cosines, sines);
  const size_t at = offset(cache, shape, place, place.position);
  if (cache.is_bf16) {
    copy(key, static_cast<bf16*>(cache.keys) + at, shape.head_dim);
    copy(value, static_cast<bf16*>(cache.values) + at, shape.head_dim);
  } else {
    copy(key, static_cast<float*>(cache.keys) + at, shape.head_dim);
    copy(value, static_cast<float*>(cache.values) + at, shape.head_dim);
  }
}

void AttentionScratch::reserve(const HeadShape& shape, int max_positions) {
  scores.reserve(shape.group() * score_stride(max_positions));
  turned.reserve(max_positions, shape.head_dim);
#ifdef CSM_TILES
  tiles.reserve(max_positions, shape.head_dim);
#endif
}

void AttentionScratch::forget() {
  turned.forget();
#ifdef CSM_TILES
  tiles.forget();
#endif
}

namespace {

void attend_one(const Cache& cache, const HeadShape& shape, const Place& place,
                const Attending& row, AttentionScratch& scratch) {
  const size_t at = offset(cache, shape, place, 0);
  const size_t stride = score_stride(cache.max_positions);
  const int dim = shape.head_dim, length = row.position + 1;
  const float* queries = row.qkv + place.kv_head * shape.group() * dim;
  float* out = row.attended + place.kv_head * shape.group() * dim;
  float* scores = scratch.scores.data();
  if (!cache.is_bf16) {
    attend_in(static_cast<const float*>(cache.keys) + at,
              static_cast<const float*>(cache.values) + at, shape, length, queries, out, scores,
              stride);
    return;
  }
  const bf16* keys = static_cast<const bf16*>(cache.keys) + at;
  const bf16* values = static_cast<const bf16*>(cache.values) + at;
  if (!fits_pairs(dim)) {
    attend_in(keys, values, shape, length, queries, out, scores, stride);
    return;
  }
  by_fours(shape.group(), [&](int heads, int first) {
    attend_in_pairs(scratch.turned, keys, values, dim, length, heads, queries + first * dim,
                    out + first * dim, scores, stride);
  });
}

#ifdef CSM_TILES
// All heads of all rows, as many at a time as a tile has rows.
void attend_by_tiles(const Cache& cache, const HeadShape& shape, const Place& place,
                     const Attending* rows, int count, AttentionScratch& scratch) {
  const size_t at = offset(cache, shape, place, 0);
  const int dim = shape.head_dim, group = shape.group();
  TileQuery queries[tiles::rows];
  int taken = 0;
  for (int item = 0; item < count * group; ++item) {
    const Attending& row = rows[item / group];
    const size_t head = static_cast<size_t>(place.kv_head * group + item % group) * dim;
    queries[taken++] = {row.qkv + head, row.attended + head, row.position + 1};
    if (taken < tiles::rows && item + 1 < count * group) continue;
    attend_in_tiles(scratch.tiles, static_cast<const bf16*>(cache.keys) + at,
                    static_cast<const bf16*>(cache.values) + at, dim, queries, taken,
                    cache.max_positions);
    taken = 0;
  }
}
#endif

}  // namespace

void attend(const Cache& cache, const HeadShape& shape, const Place& place, const Attending* rows,
            int count, AttentionScratch& scratch) {
#ifdef CSM_TILES
  if (cache.is_bf16 && fits_pairs(shape.head_dim))
    return attend_by_tiles(cache, shape, place, rows, count, scratch);
#endif
  for (int row = 0; row < count; ++row) attend_one(cache, shape, place, rows[row], scratch);
}

}  // namespace csm
