// Attention over bf16 keys and values by tiles: up to sixteen queries of one slot and kv head at a
// time, so that a prefill reads the keys behind it once for many of its rows.
//
// Queries and weights are rounded to bf16, sums are fp32, as in pairs.hpp. A score is the sum that a
// tile makes over the head, a weighted sum the one it makes over the positions, 32 at a time from
// the first on. A row's own last positions are multiplied with nothing behind them: what later rows
// wrote there, even no number, does not reach it.
#pragma once

#include "pairs.hpp"
#include "tiles.hpp"

namespace csm {

#ifdef CSM_TILES

// The values of one kv head in pairs of positions, 32 positions a block, as tiles want them; whole
// blocks only. Rows that attend one after the other turn each block once.
class ZippedValues {
 public:
  void reserve(int max_positions, int head_dim);
  // Before any value may have changed.
  void forget() { of_ = nullptr; }
  // `values` [at least 32 blocks, head_dim], which no longer change until forget(). To
  // [blocks, head_dim / 16, 16 pairs, 64 bytes]: of 32 columns first the lower, then the upper
  // tile that simd::zip makes.
  const uint8_t* zip(const bf16* values, int head_dim, int blocks);

 private:
  Buffer<uint8_t> tiles_;
  const bf16* of_ = nullptr;
  int done_ = 0;
};

// A query over the positions before `length`, and where its head of the result goes: [head_dim].
struct TileQuery {
  const float* query;
  float* out;
  int length;
};

// One thread's own memory.
struct TileScratch {
  TurnedKeys keys;
  ZippedValues values;
  Buffer<float> scores;  // [16, max_positions in whole runs of 32]

  void reserve(int max_positions, int head_dim);
  void forget() {
    keys.forget();
    values.forget();
  }
};

// Up to sixteen queries over keys and values [.., head_dim] of one slot and kv head, those of one
// length beside each other and lengths rising. Where `fits_pairs`.
void attend_in_tiles(TileScratch& scratch, const bf16* keys, const bf16* values, int head_dim,
                     const TileQuery* queries, int count, int max_positions);

#endif

}  // namespace csm
