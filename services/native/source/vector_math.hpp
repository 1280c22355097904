// Functions of sixteen floats, and the norm, made of what simd.hpp gives.
#pragma once

#include <cmath>
#include <cstddef>

#include "simd.hpp"

namespace csm {

// A power of e, taken apart: e to the x is (1 + less_one) * 2 to the n, n a whole number.
struct Power {
  simd::F32 n, less_one;
};

// For x in [-87, 88].
inline Power power(simd::F32 x) {
  using namespace simd;
  const F32 n = round(mul(x, set(1.44269504f)));
  // ln 2 in two parts, the first of so few bits that its product with n is exact.
  F32 r = fma(n, set(-0.693359375f), x);
  r = fma(n, set(2.12194440e-4f), r);
  F32 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  return {n, fma(mul(r, r), p, r)};
}

// e to the x, within two units in the last place; x below -87 counts as -87, above 88 as 88.
inline simd::F32 exp(simd::F32 x) {
  using namespace simd;
  const Power e = power(max(min(x, set(88.0f)), set(-87.0f)));
  return mul(add(e.less_one, set(1.0f)), pow2(e.n));
}

// 2 to the x for x <= 0, within 1e-7; x below -126 counts as -126.
inline simd::F32 pow2_of_negative(simd::F32 x) {
  using namespace simd;
  x = max(x, set(-126.0f));
  const F32 n = round(x), f = sub(x, n);
  F32 p = set(1.3276467e-3f);
  p = fma(p, f, set(9.6755413e-3f));
  p = fma(p, f, set(5.5507133e-2f));
  p = fma(p, f, set(2.4022120e-1f));
  p = fma(p, f, set(6.9314697e-1f));
  p = fma(p, f, set(1.0f));
  return mul(p, pow2(n));
}

// e to the x less one, for x <= 0, without the cancellation near zero.
inline simd::F32 exp_less_one(simd::F32 x) {
  using namespace simd;
  const Power e = power(max(x, set(-87.0f)));
  const F32 scale = pow2(e.n);
  return fma(e.less_one, scale, sub(scale, set(1.0f)));
}

// x * sigmoid(x)
inline simd::F32 silu(simd::F32 x) {
  using namespace simd;
  return div(x, add(set(1.0f), exp(sub(zero(), x))));
}

// RMSNorm of one row of `width` floats, zeros behind it up to a multiple of sixteen, as everywhere.
inline void normalize(const float* x, const float* weight, float eps, int width, float* out) {
  using namespace simd;
  F32 squares = zero();
  for (int i = 0; i < width; i += lanes) {
    const F32 v = load(x + i);
    squares = fma(v, v, squares);
  }
  const F32 scale = set(1.0f / std::sqrt(sum(squares) / static_cast<float>(width) + eps));
  for (int i = 0; i < width; i += lanes)
    store(out + i, mul(mul(load(x + i), scale), load(weight + i)));
}

// What no weight is left of stands behind the scores, up to `end`; returns the largest of them.
inline simd::F32 largest_score(float* scores, int length, int end) {
  for (int t = length; t < end; ++t) scores[t] = -1e30f;
  simd::F32 most = simd::set(-1e30f);
  for (int t = 0; t < length; t += lanes) most = simd::max(most, simd::load(scores + t));
  return simd::set(simd::largest(most));
}

// Scores become weights that add up to one. There is room behind them up to a multiple of sixteen,
// where zeros, or nearly, come to stand.
inline void softmax(float* scores, int length) {
  using namespace simd;
  const F32 top = largest_score(scores, length, (length + lanes - 1) / lanes * lanes);
  F32 total = zero();
  for (int t = 0; t < length; t += lanes) {
    const F32 e = exp(sub(load(scores + t), top));
    total = add(total, e);
    store(scores + t, e);
  }
  const F32 scale = set(1.0f / sum(total));
  for (int t = 0; t < length; t += lanes) store(scores + t, mul(load(scores + t), scale));
}

// Numbers as they are, or rounded to be factors of bf16 products.
inline void write(float* to, simd::F32 x, int n) { simd::store_n(to, x, n); }
inline void write(bf16* to, simd::F32 x, int n) { simd::store_rounded_n(to, x, n); }

// Writes `change` of every number.
template <class T, class Change>
void rewrite(const float* from, size_t count, T* to, const Change& change) {
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) write(to + i, change(simd::load(from + i)), lanes);
  const int n = static_cast<int>(count - i);
  if (n) write(to + i, change(simd::load_n(from + i, n)), n);
}

template <class T>
void rewrite(const float* from, size_t count, T* to) {
  rewrite(from, count, to, [](simd::F32 x) { return x; });
}

}  // namespace csm
