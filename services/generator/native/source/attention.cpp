#include "attention.hpp"

#include <algorithm>

namespace csm {
namespace {

using simd::F32;

// The two things a cache can be made of.
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

// Heads of a group, up to four at once, by `together(heads, first head)`.
template <class F>
void by_fours(int group, const F& together) {
  for (int first = 0; first < group; first += 4)
    together(group - first < 4 ? group - first : 4, first);
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
  blocks.reserve(most_together, shape.group(), shape.head_dim);
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

// What of a row belongs to the kv head of `place`.
struct Part {
  const float* queries;
  float* out;
};

Part part_of(const Attending& row, const HeadShape& shape, const Place& place) {
  const size_t head = static_cast<size_t>(place.kv_head) * shape.group() * shape.head_dim;
  return {row.qkv + head, row.attended + head};
}

void attend_by_blocks(const Cache& cache, const HeadShape& shape, const Place& place,
                      const Attending* rows, int count, AttentionScratch& scratch) {
  const size_t at = offset(cache, shape, place, 0);
  BlockRow parts[most_together];
  for (int row = 0; row < count; ++row) {
    const Part part = part_of(rows[row], shape, place);
    parts[row] = {part.queries, part.out, rows[row].position + 1};
  }
  const auto over = [&](const auto* keys, const auto* values) {
    attend_in_blocks(scratch.blocks, keys + at, values + at, shape.head_dim, shape.group(), parts,
                     count);
  };
  if (cache.is_bf16)
    over(static_cast<const bf16*>(cache.keys), static_cast<const bf16*>(cache.values));
  else
    over(static_cast<const float*>(cache.keys), static_cast<const float*>(cache.values));
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
#else
void attend_by_pairs(const Cache& cache, const HeadShape& shape, const Place& place,
                     const Attending& row, AttentionScratch& scratch) {
  const size_t at = offset(cache, shape, place, 0);
  const int dim = shape.head_dim;
  const Part part = part_of(row, shape, place);
  by_fours(shape.group(), [&](int heads, int first) {
    attend_in_pairs(scratch.turned, static_cast<const bf16*>(cache.keys) + at,
                    static_cast<const bf16*>(cache.values) + at, dim, row.position + 1, heads,
                    part.queries + first * dim, part.out + first * dim, scratch.scores.data(),
                    score_stride(cache.max_positions));
  });
}
#endif

}  // namespace

void attend(const Cache& cache, const HeadShape& shape, const Place& place, const Attending* rows,
            int count, AttentionScratch& scratch) {
  if (!cache.is_bf16 || !fits_pairs(shape.head_dim))
    return attend_by_blocks(cache, shape, place, rows, count, scratch);
#ifdef CSM_TILES
  attend_by_tiles(cache, shape, place, rows, count, scratch);
#else
  for (int row = 0; row < count; ++row)
    attend_by_pairs(cache, shape, place, rows[row], scratch);
#endif
}

}  // namespace csm
