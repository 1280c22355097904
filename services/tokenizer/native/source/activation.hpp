// What stands between products, sixteen floats at a time.
#pragma once

#include "vector_math.hpp"

namespace csm {

enum class Activation : int { none = 0, elu = 1, gelu = 2, relu = 3, silu = 4 };

// x above zero, e to the x less one below; zero for what is no number. Inlined always: its steps
// wait for one another, and only inlined do those of several vectors go side by side.
[[gnu::always_inline]] inline simd::F32 elu(simd::F32 x) {
  using namespace simd;
  return add(max(x, zero()), exp_less_one(min(x, zero())));
}

// A quotient of polynomials (those of Eigen and XLA), within four units in the last place.
inline simd::F32 erf(simd::F32 x) {
  using namespace simd;
  x = max(min(x, set(3.832506856900711f)), set(-3.832506856900711f));
  const F32 y = mul(x, x);
  F32 a = set(-2.72614225801306e-10f);
  a = fma(a, y, set(2.77068142495902e-08f));
  a = fma(a, y, set(-2.10102402082508e-06f));
  a = fma(a, y, set(-5.69250639462346e-05f));
  a = fma(a, y, set(-7.34990630326855e-04f));
  a = fma(a, y, set(-2.95459980854025e-03f));
  a = fma(a, y, set(-1.60960333262415e-02f));
  F32 b = set(-1.45660718464996e-05f);
  b = fma(b, y, set(-2.13374055278905e-04f));
  b = fma(b, y, set(-1.68282697438203e-03f));
  b = fma(b, y, set(-7.37332916720468e-03f));
  b = fma(b, y, set(-1.42647390514189e-02f));
  return div(mul(x, a), b);
}

inline simd::F32 gelu(simd::F32 x) {
  using namespace simd;
  const F32 half = mul(x, set(0.5f));
  return fma(half, erf(mul(x, set(0.70710678f))), half);
}

inline simd::F32 activate(Activation kind, simd::F32 x) {
  switch (kind) {
    case Activation::elu: return elu(x);
    case Activation::gelu: return gelu(x);
    case Activation::relu: return simd::max(x, simd::zero());
    case Activation::silu: return silu(x);
    default: return x;
  }
}

// The same of `rows` runs of `count` numbers where they lie, so that the chains of several go side
// by side.
inline void activate(Activation kind, float* const* runs, int rows, int count) {
  const auto by = [&](auto change) {
    for (int row = 0; row < rows; ++row) rewrite(runs[row], count, runs[row], change);
  };
  switch (kind) {
    case Activation::elu: return by([](simd::F32 x) { return elu(x); });
    case Activation::none: return;
    default: return by([kind](simd::F32 x) { return activate(kind, x); });
  }
}

}  // namespace csm
