// Causal attention with a sliding window, over rings of keys and values.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.hpp"
#include "simd.hpp"

namespace csm {

struct HeadShape {
  int heads;
  int kv_heads;
  int head_dim;
  int window;

  int group() const { return heads / kv_heads; }
  int qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
  // A head in whole vectors; what is behind its numbers is zeros.
  int padded_dim() const { return static_cast<int>(round_up(head_dim, lanes)); }
};

// Keys and values of one layer and stream, position p in place p mod window:
// [kv_heads, window, padded_dim].
struct Ring {
  float* keys;
  float* values;
};

// One thread's own memory.
struct AttentionScratch {
  Buffer<float> queries;  // [padded_dim]
  Buffer<float> scores;   // [window in whole vectors]

  void reserve(const HeadShape& shape);
};

// Positions of one stream, one after the other, for the queries of one kv head's group.
// qkv [time, qkv_width], cosines and sines [time, head_dim / 2], attended [time, heads * head_dim].
// A position is summed from the oldest that it sees to itself, wherever they lie in the ring.
void attend(const HeadShape& shape, const Ring& ring, int kv_head, int64_t position, int time,
            const float* qkv, const float* cosines, const float* sines, float* attended,
            AttentionScratch& scratch);

}  // namespace csm
