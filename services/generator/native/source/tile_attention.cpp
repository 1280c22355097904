#include "tile_attention.hpp"

#include <algorithm>
#include <cmath>

#include "vector_math.hpp"

#ifdef CSM_TILES

namespace csm {
namespace {

using simd::F32;
using simd::Pairs;

// Positions of a block of values: the pairs of a tile's row of weights.
constexpr int block_positions = 2 * tiles::rows;
// 32 columns of values are two tiles of sixteen pairs.
constexpr int columns = 2 * lanes;
constexpr int most_columns = 2 * most_pairs / columns;

// Whole blocks, and a line: rows of scores a power of two apart would all want one place in the
// cache.
size_t score_stride(int max_positions) {
  return round_up(max_positions, block_positions) + lanes;
}

// The tiles of a block's `count` first positions, zeros behind them.
void zip_block(const bf16* values, int head_dim, int count, uint8_t* to) {
  const Pairs none = simd::spread_pair(0);
  for (int column = 0; column < head_dim; column += columns, to += 2 * tiles::bytes)
    for (int pair = 0; pair < tiles::rows; ++pair) {
      const bf16* first = values + static_cast<size_t>(2 * pair) * head_dim + column;
      Pairs low, high;
      simd::zip(2 * pair < count ? simd::load_raw_pairs(first) : none,
                2 * pair + 1 < count ? simd::load_raw_pairs(first + head_dim) : none, low, high);
      simd::store_raw_pairs(to + pair * tiles::row_bytes, low);
      simd::store_raw_pairs(to + tiles::bytes + pair * tiles::row_bytes, high);
    }
}

// [head_dim / 32, count, 32] in bf16.
void round_queries(const TileQuery* queries, int count, int head_dim, bf16* to) {
  for (int i = 0; i < head_dim; i += columns)
    for (int row = 0; row < count; ++row, to += columns)
      for (int j = 0; j < columns; ++j) to[j] = narrow(queries[row].query[i + j]);
}

// The scores of all queries over B blocks of sixteen positions from `turned` on.
template <int B>
void score(const uint32_t* turned, const bf16* queries, int count, int head_dim, float* scores,
           size_t stride) {
  const int pairs = head_dim / 2;
  const size_t block = static_cast<size_t>(pairs) * lanes, bytes = stride * sizeof(float);
  tiles::clear<0>();
  if constexpr (B > 1) tiles::clear<1>();
  if constexpr (B > 2) tiles::clear<2>();
  if constexpr (B > 3) tiles::clear<3>();
  for (int pair = 0; pair < pairs; pair += tiles::rows, queries += count * columns) {
    tiles::load<4>(queries, tiles::row_bytes);
    const uint32_t* from = turned + static_cast<size_t>(pair) * lanes;
    tiles::load<6>(from, tiles::row_bytes);
    tiles::dot_pairs<0, 4, 6>();
    if constexpr (B > 1) {
      tiles::load<7>(from + block, tiles::row_bytes);
      tiles::dot_pairs<1, 4, 7>();
    }
    if constexpr (B > 2) {
      tiles::load<6>(from + 2 * block, tiles::row_bytes);
      tiles::dot_pairs<2, 4, 6>();
    }
    if constexpr (B > 3) {
      tiles::load<7>(from + 3 * block, tiles::row_bytes);
      tiles::dot_pairs<3, 4, 7>();
    }
  }
  tiles::store<0>(scores, bytes);
  if constexpr (B > 1) tiles::store<1>(scores + lanes, bytes);
  if constexpr (B > 2) tiles::store<2>(scores + 2 * lanes, bytes);
  if constexpr (B > 3) tiles::store<3>(scores + 3 * lanes, bytes);
}

// Sums of 32 columns each, [two tiles of 16 queries, 16].
struct alignas(64) Sums {
  float low[tiles::rows * lanes], high[tiles::rows * lanes];
};

// Adds blocks of weights (rows `stride` bytes apart) times values (blocks `block_bytes` apart) to
// the sums of C times 32 columns; `fresh`: to zero.
template <int C>
void add_blocks(const uint8_t* weights, size_t stride, const uint8_t* values, size_t block_bytes,
                int blocks, bool fresh, Sums* sums) {
  if (fresh) {
    tiles::clear<0>();
    tiles::clear<1>();
    if constexpr (C > 1) tiles::clear<2>(), tiles::clear<3>();
  } else {
    tiles::load<0>(sums[0].low, tiles::row_bytes);
    tiles::load<1>(sums[0].high, tiles::row_bytes);
    if constexpr (C > 1) {
      tiles::load<2>(sums[1].low, tiles::row_bytes);
      tiles::load<3>(sums[1].high, tiles::row_bytes);
    }
  }
  for (int block = 0; block < blocks; ++block, values += block_bytes) {
    tiles::load<4>(weights + block * size_t{tiles::row_bytes}, stride);
    tiles::load<6>(values, tiles::row_bytes);
    tiles::dot_pairs<0, 4, 6>();
    tiles::load<7>(values + tiles::bytes, tiles::row_bytes);
    tiles::dot_pairs<1, 4, 7>();
    if constexpr (C > 1) {
      tiles::load<6>(values + 2 * tiles::bytes, tiles::row_bytes);
      tiles::dot_pairs<2, 4, 6>();
      tiles::load<7>(values + 3 * tiles::bytes, tiles::row_bytes);
      tiles::dot_pairs<3, 4, 7>();
    }
  }
  tiles::store<0>(sums[0].low, tiles::row_bytes);
  tiles::store<1>(sums[0].high, tiles::row_bytes);
  if constexpr (C > 1) {
    tiles::store<2>(sums[1].low, tiles::row_bytes);
    tiles::store<3>(sums[1].high, tiles::row_bytes);
  }
}

// The same for all columns of a head.
void blend(const uint8_t* weights, size_t stride, const uint8_t* values, int head_dim, int blocks,
           bool fresh, Sums* sums) {
  const size_t block_bytes = head_dim / columns * 2 * tiles::bytes;
  int done = 0;
  for (; (done + 2) * columns <= head_dim; done += 2)
    add_blocks<2>(weights, stride, values + done * 2 * tiles::bytes, block_bytes, blocks, fresh,
                  sums + done);
  if (done * columns < head_dim)
    add_blocks<1>(weights, stride, values + done * 2 * tiles::bytes, block_bytes, blocks, fresh,
                  sums + done);
}

void put(const Sums* sums, int row, int head_dim, float factor, float* out) {
  const F32 scale = simd::set(factor);
  for (int column = 0; column < head_dim; column += columns, ++sums)
    simd::store_zipped(out + column, simd::mul(simd::load(sums->low + row * lanes), scale),
                       simd::mul(simd::load(sums->high + row * lanes), scale));
}

}  // namespace

void ZippedValues::reserve(int max_positions, int head_dim) {
  tiles_.reserve(round_up(max_positions, block_positions) * head_dim * sizeof(bf16));
  forget();
}

const uint8_t* ZippedValues::zip(const bf16* values, int head_dim, int blocks) {
  if (values != of_) done_ = 0;
  of_ = values;
  const size_t block = static_cast<size_t>(block_positions) * head_dim;
  for (; done_ < blocks; ++done_)
    zip_block(values + done_ * block, head_dim, block_positions,
              tiles_.data() + done_ * block * sizeof(bf16));
  return tiles_.data();
}

void TileScratch::reserve(int max_positions, int head_dim) {
  keys.reserve(max_positions, head_dim);
  values.reserve(max_positions, head_dim);
  scores.reserve(tiles::rows * score_stride(max_positions));
}

void attend_in_tiles(TileScratch& scratch, const bf16* keys, const bf16* values, int head_dim,
                     const TileQuery* queries, int count, int max_positions) {
  const size_t stride = score_stride(max_positions);
  float* scores = scratch.scores.data();
  alignas(64) bf16 rounded[tiles::rows * 2 * most_pairs];
  round_queries(queries, count, head_dim, rounded);
  const int longest = queries[count - 1].length;
  const uint32_t* turned = scratch.keys.turn(keys, head_dim, longest);

  const tiles::Tiles held(count);
  const int blocks = (longest + lanes - 1) / lanes;
  const size_t turned_block = static_cast<size_t>(head_dim / 2) * lanes;
  int done = 0;
  for (; done + 4 <= blocks; done += 4)
    score<4>(turned + done * turned_block, rounded, count, head_dim, scores + done * lanes, stride);
  for (; done < blocks; ++done)
    score<1>(turned + done * turned_block, rounded, count, head_dim, scores + done * lanes, stride);

  float factors[tiles::rows];
  // log2(e): weights are powers of two.
  const F32 scale = simd::set(1.44269504f / std::sqrt(static_cast<float>(head_dim)));
  for (int row = 0; row < count; ++row) {
    float* mine = scores + row * stride;
    for (int t = 0; t < queries[row].length; t += lanes)
      simd::store(mine + t, simd::mul(simd::load(mine + t), scale));
    factors[row] = weigh(mine, queries[row].length);
  }

  // Blocks that all queries see to the end are added for all of them at once; what follows, for
  // those of one length at a time. A row of a tile's sums depends on no other, so the rest of the
  // tile is computed, and not used.
  const uint8_t* weights = reinterpret_cast<const uint8_t*>(scores);
  const size_t weight_stride = stride * sizeof(float);
  const int whole = queries[0].length / block_positions;
  Sums all[most_columns], own[most_columns];
  blend(weights, weight_stride, scratch.values.zip(values, head_dim, whole), head_dim, whole, true,
        all);
  const int used = head_dim / columns;
  alignas(64) uint8_t tail[2 * tiles::bytes * most_columns];
  for (int row = 0; row < count;) {
    const int length = queries[row].length;
    std::copy_n(all, used, own);
    for (int block = whole; block * block_positions < length; ++block) {
      const int first = block * block_positions;
      zip_block(values + static_cast<size_t>(first) * head_dim, head_dim,
                std::min(block_positions, length - first), tail);
      blend(weights + block * size_t{tiles::row_bytes}, weight_stride, tail, head_dim, 1, false,
            own);
    }
    for (; row < count && queries[row].length == length; ++row)
      put(own, row, head_dim, factors[row], queries[row].out);
  }
}

}  // namespace csm

#endif
