// Any processor: plain loops over sixteen lanes, for the compiler to make vectors of.
#pragma once

#include <cmath>
#include <cstring>

namespace csm::simd {

struct F32 {
  float lane[lanes];
};
struct I32 {
  int32_t lane[lanes];
};
struct Int8Block {
  int8_t byte[4 * lanes];
};
struct Int8Four {
  int8_t byte[4];
};

constexpr int sum_budget = 2;
constexpr int activation_offset = 0;

template <class Function>
inline F32 each(Function function) {
  F32 result;
  for (int i = 0; i < lanes; ++i) result.lane[i] = function(i);
  return result;
}

inline F32 set(float x) {
  return each([&](int) { return x; });
}
inline F32 zero() { return set(0.0f); }
inline I32 zero_int() { return I32{}; }

inline F32 load_n(const float* p, int n) {
  F32 x{};
  std::memcpy(x.lane, p, n * sizeof(float));
  return x;
}
inline F32 load(const float* p) { return load_n(p, lanes); }
inline void store_n(float* p, const F32& x, int n) { std::memcpy(p, x.lane, n * sizeof(float)); }
inline void store(float* p, const F32& x) { store_n(p, x, lanes); }
inline F32 load_bf16_n(const bf16* p, int n) {
  F32 x{};
  for (int i = 0; i < n; ++i) x.lane[i] = widen(p[i]);
  return x;
}
inline void store_bf16_n(bf16* p, const F32& x, int n) {
  for (int i = 0; i < n; ++i) p[i] = narrow(x.lane[i]);
}
inline void load_pairs(const uint8_t* p, F32& even, F32& odd) {
  bf16 both[2 * lanes];
  std::memcpy(both, p, sizeof(both));
  even = each([&](int i) { return widen(both[2 * i]); });
  odd = each([&](int i) { return widen(both[2 * i + 1]); });
}

inline F32 add(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F32 sub(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F32 mul(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F32 div(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
// Two roundings: without the instruction, std::fma is a library call.
inline F32 fma(const F32& a, const F32& b, const F32& c) {
  return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
inline F32 max(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32 min(const F32& a, const F32& b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32 abs(const F32& x) {
  return each([&](int i) { return std::fabs(x.lane[i]); });
}
// To the nearest whole number, ties to even, for |x| < 2**22: past 1.5 * 2**23 there are no others.
inline F32 round(const F32& x) {
  return each([&](int i) { return (x.lane[i] + 12582912.0f) - 12582912.0f; });
}
inline F32 pow2(const F32& n) {
  return each([&](int i) {
    int32_t bits = (static_cast<int32_t>(n.lane[i]) + 127) << 23;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  });
}
inline float sum(const F32& x) {
  F32 part = x;
  for (int half = lanes / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) part.lane[i] += part.lane[i + half];
  return part.lane[0];
}
inline float largest(const F32& x) {
  float result = x.lane[0];
  for (int i = 1; i < lanes; ++i) result = result > x.lane[i] ? result : x.lane[i];
  return result;
}

inline F32 to_float(const I32& x) {
  return each([&](int i) { return static_cast<float>(x.lane[i]); });
}
inline I32 load_int(const int32_t* p) {
  I32 x;
  std::memcpy(x.lane, p, sizeof(x.lane));
  return x;
}
inline I32 sub(const I32& a, const I32& b) {
  I32 result;
  for (int i = 0; i < lanes; ++i) result.lane[i] = a.lane[i] - b.lane[i];
  return result;
}

inline void store_int8(uint8_t* p, const F32& x) {
  F32 whole = round(x);
  for (int i = 0; i < lanes; ++i)
    p[i] = static_cast<uint8_t>(static_cast<int8_t>(whole.lane[i]));
}
inline Int8Block load_block(const uint8_t* p) {
  Int8Block block;
  std::memcpy(block.byte, p, sizeof(block.byte));
  return block;
}
inline Int8Four spread(int32_t four) {
  Int8Four result;
  std::memcpy(result.byte, &four, sizeof(four));
  return result;
}
inline I32 dot(const I32& sums, const Int8Block& weights, const Int8Four& inputs) {
  I32 result;
  for (int i = 0; i < lanes; ++i) {
    int32_t total = sums.lane[i];
    for (int j = 0; j < 4; ++j) total += weights.byte[4 * i + j] * inputs.byte[j];
    result.lane[i] = total;
  }
  return result;
}

}  // namespace csm::simd
