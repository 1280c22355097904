// Attention over bf16 keys and values by products of bf16 pairs, where there is such an instruction.
//
// Queries and weights are rounded to bf16, sums are fp32: half the instructions of attention.cpp,
// which widens every key and value, and exponentials no more exact than that rounding. A score is
// one chain of additions over its pairs in order, a weighted sum one over the positions in order,
// whoever else is computed.
#pragma once

#include "buffer.hpp"
#include "simd.hpp"

namespace csm {

// The largest head, in pairs.
constexpr int most_pairs = 128;

// Whether heads of this size can be attended to in pairs.
inline bool fits_pairs(int head_dim) {
  return has_pairs && head_dim % (2 * lanes) == 0 && head_dim <= 2 * most_pairs;
}

// The keys of one kv head, turned: for sixteen positions at a time [head_dim / 2, 16] pairs. Rows of
// one slot that attend one after the other turn each block once.
class TurnedKeys {
 public:
  void reserve(int max_positions, int head_dim);
  // Before any key may have changed.
  void forget() { of_ = nullptr; }
  // `keys` [at least length, head_dim]; those before `length` no longer change until forget().
  const uint32_t* turn(const bf16* keys, int head_dim, int length);

 private:
  Buffer<uint32_t> pairs_;
  const bf16* of_ = nullptr;
  int whole_ = 0;  // blocks that are complete
};

// Turns scores, in twos' logarithms, into weights: bf16 in the memory of the scores, zeros behind
// `length` to the end of its run of 32. Returns one over their sum.
float weigh(float* scores, int length);

// Up to four heads of a group: queries [heads, head_dim] over the positions before `length`, out
// [heads, head_dim]. `scores` [heads, stride] is scratch, `stride` a multiple of 32.
void attend_in_pairs(TurnedKeys& turned, const bf16* keys, const bf16* values, int head_dim,
                     int length, int heads, const float* queries, float* out, float* scores,
                     size_t stride);

}  // namespace csm
