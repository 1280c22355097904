// Grouped-query attention of single positions over a KV cache in the engine's own layout.
#pragma once

#include <cstdint>

#include "blocks.hpp"
#include "buffer.hpp"
#include "pairs.hpp"
#include "simd.hpp"
#include "tile_attention.hpp"

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
  BlockScratch blocks;
#ifdef CSM_TILES
  TileScratch tiles;
#endif

  void reserve(const HeadShape& shape, int max_positions);
  // Before any key or value may have changed.
  void forget();
};

// Turns the queries of one kv head's group and its key by RoPE, and writes key and value into the
// cache. qkv is one row: [heads + 2 kv_heads, head_dim]; cosines and sines [head_dim / 2] are those
// of the row's position.
void remember(const Cache& cache, const HeadShape& shape, const Place& place, float* qkv,
              const float* cosines, const float* sines);

// A row that attends: its turned queries, and where its heads go [heads, head_dim].
struct Attending {
  int position;
  const float* qkv;
  float* attended;
};

// Rows of one slot that attend at once: those of a prefill, which read a kv head together.
constexpr int most_together = 64;

// Attends with the turned queries of `place.kv_head`'s group over positions 0 to the row's own, for
// `count` rows of one slot, at most `most_together`, in the order of positions; `place.position` is
// not looked at.
void attend(const Cache& cache, const HeadShape& shape, const Place& place, const Attending* rows,
            int count, AttentionScratch& scratch);

}  // namespace csm
