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

// scores[g, t] = q[g] . key[t] / sqrt(head_dim); a key is read once for the group.
template <class T>
void score(const T* keys, const float* queries, int group, int head_dim, int length, float* scores,
           size_t stride) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  for (int t = 0; t < length; ++t, keys += head_dim)
    for (int g = 0; g < group; ++g) {
      F32 total = simd::zero();
      for (int i = 0; i < head_dim; i += lanes) {
        const int n = at_most_lanes(head_dim - i);
        total = simd::fma(get(keys + i, n), simd::load_n(queries + g * head_dim + i, n), total);
      }
      scores[g * stride + t] = simd::sum(total) * scale;
    }
}

void softmax(float* scores, int length) {
  for (int t = length; t % lanes; ++t) scores[t] = -1e30f;
  F32 largest = simd::set(-1e30f);
  for (int t = 0; t < length; t += lanes) largest = simd::max(largest, simd::load(scores + t));
  const F32 top = simd::set(simd::largest(largest));
  F32 total = simd::zero();
  for (int t = 0; t < length; t += lanes) {
    const F32 e = exp(simd::sub(simd::load(scores + t), top));
    total = simd::add(total, e);
    simd::store(scores + t, e);
  }
  const F32 scale = simd::set(1.0f / simd::sum(total));
  for (int t = 0; t < length; t += lanes)
    simd::store(scores + t, simd::mul(simd::load(scores + t), scale));
}

// out[g, i .. i + n) = sum over t of scores[g, t] * value[t, i .. i + n), for G heads of a group.
template <int G, class T>
void blend(const T* values, int head_dim, int n, const float* scores, size_t stride, int length,
           float* out) {
  F32 totals[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) totals[g] = simd::zero();
  for (int t = 0; t < length; ++t) {
    const F32 value = get(values + static_cast<size_t>(t) * head_dim, n);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g)
      totals[g] = simd::fma(value, simd::set(scores[g * stride + t]), totals[g]);
  }
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) simd::store_n(out + g * head_dim, totals[g], n);
}

template <class T>
void attend_in(const T* keys, const T* values, const HeadShape& shape, int length,
               const float* queries, float* out, float* scores, size_t stride) {
  const int group = shape.group(), head_dim = shape.head_dim;
  score(keys, queries, group, head_dim, length, scores, stride);
  for (int g = 0; g < group; ++g) softmax(scores + g * stride, length);
  for (int i = 0; i < head_dim; i += lanes) {
    const int n = at_most_lanes(head_dim - i);
    int g = 0;
    for (; g + 4 <= group; g += 4)
      blend<4>(values + i, head_dim, n, scores + g * stride, stride, length, out + g * head_dim + i);
    for (; g < group; ++g)
      blend<1>(values + i, head_dim, n, scores + g * stride, stride, length, out + g * head_dim + i);
  }
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

void attend(const Cache& cache, const HeadShape& shape, const Place& place, const float* qkv,
            float* attended, float* scores) {
  const size_t at = offset(cache, shape, place, 0);
  const size_t stride = round_up(cache.max_positions, lanes);
  const int first = place.kv_head * shape.group() * shape.head_dim;
  const int length = place.position + 1;
  if (cache.is_bf16) {
    attend_in(static_cast<const bf16*>(cache.keys) + at, static_cast<const bf16*>(cache.values) + at,
              shape, length, qkv + first, attended + first, scores, stride);
  } else {
    attend_in(static_cast<const float*>(cache.keys) + at,
              static_cast<const float*>(cache.values) + at, shape, length, qkv + first,
              attended + first, scores, stride);
  }
}

}  // namespace csm
