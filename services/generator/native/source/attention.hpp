// Grouped-query attention of single positions over a KV cache in the engine's own layout.
#pragma once

#include <cstdint>

#include "buffer.hpp"
#include "pairs.hpp"
#include "simd.hpp"

namespace csm {

// keys and values, each [layers, slots, kv_heads, max_positions, head_dim], fp32 or bf16.
struct Cache {
  void* keys;
  void* values;
  int32_t is_bf16;
  int32_t slots;
  int32_t max_positions;
};

struct HeadShape {
  int heads;
  int kv_heads;
  int head_dim;

  int group() const { return heads / kv_heads; }
};

// Where one row and one kv head of it stand in the cache.
struct Place {
  int layer;
  int slot;
  int position;
  int kv_head;
};

// One thread's own memory.
struct AttentionScratch {
  Buffer<float> scores;  // [group, max_positions in whole runs of 32]
  TurnedKeys turned;

  void reserve(const HeadShape& shape, int max_positions);
};

// Turns the queries of one kv head's group and its key by RoPE, and writes key and value into the
// cache. qkv is one row: [heads + 2 kv_heads, head_dim]; cosines and sines [head_dim / 2] are those
// of the row's position.
void remember(const Cache& cache, const HeadShape& shape, const Place& place, float* qkv,
              const float* cosines, const float* sines);

// Attends with the group's turned queries over positions 0 to `place.position` and writes the
// group's part of `attended` [heads, head_dim].
void attend(const Cache& cache, const HeadShape& shape, const Place& place, const float* qkv,
            float* attended, AttentionScratch& scratch);

}  // namespace csm
