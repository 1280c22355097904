// Rows times panels of a packed matrix by tiles: the walk that `product` and the codec's windows
// share. An output is one sum over its inputs, 64 bytes of them at a time in order, whoever is
// computed beside it.
#pragma once

#include "matrix.hpp"
#include "tiles.hpp"

#ifdef CSM_TILES

namespace csm::tiles {

// Where the 64 bytes of some rows' inputs lie.
struct Rows {
  const uint8_t* at;
  size_t stride;
};

struct Bytes {
  template <int S, int A, int B>
  static void dot() {
    dot_bytes<S, A, B>();
  }
};

struct Pairs {
  template <int S, int A, int B>
  static void dot() {
    dot_pairs<S, A, B>();
  }
};

// Rows of a range in blocks of as many each: the last block ends with the range, and begins with
// rows of the block before it where they do not divide.
struct Blocks {
  int begin, end, count, height;

  Blocks(int begin_, int end_)
      : begin(begin_),
        end(end_),
        count((end_ - begin_ + rows - 1) / rows),
        height((end_ - begin_ + count - 1) / count) {}
  int first(int block) const { return block + 1 < count ? begin + block * height : end - height; }
  // The rows of a block that none before it has.
  int fresh(int block) const { return begin + block * height; }
};

// Panels that are asked for from memory together, and stay in the cache while all rows pass.
constexpr int panels_at_once = 4;
// As in product.cpp: a page early.
constexpr size_t ahead_bytes = 4096;

template <class Kind, int S, int B, int R, int P>
void multiply_by(const uint8_t* weights) {
  for (size_t line = 0; line < bytes; line += row_bytes)
    __builtin_prefetch(weights + ahead_bytes + line, 0, 2);
  load<B>(weights, row_bytes);
  Kind::template dot<S, 4, B>();
  if constexpr (R > 1) Kind::template dot<S + P, 5, B>();
}

// R blocks of rows (up to two) by P panels (up to 4 / R) into `sums` [R, P, 16, 16].
template <class Kind, int R, int P, class Inputs>
void sum(const Matrix& m, int panel, Inputs& inputs, uint8_t* sums) {
  static_assert(R * P <= 4);
  const size_t panel_bytes = m.panel_bytes();
  const uint8_t* from = m.weights.data() + panel * panel_bytes;
  clear<0>();
  if constexpr (R * P > 1) clear<1>();
  if constexpr (R * P > 2) clear<2>();
  if constexpr (R * P > 3) clear<3>();
  for (int chunk = 0; chunk * rows < m.panel_steps; ++chunk, from += bytes) {
    const Rows first = inputs.rows(0, chunk);
    load<4>(first.at, first.stride);
    if constexpr (R > 1) {
      const Rows second = inputs.rows(1, chunk);
      load<5>(second.at, second.stride);
    }
    multiply_by<Kind, 0, 6, R, P>(from);
    if constexpr (P > 1) multiply_by<Kind, 1, 7, R, P>(from + panel_bytes);
    if constexpr (P > 2) multiply_by<Kind, 2, 6, R, P>(from + 2 * panel_bytes);
    if constexpr (P > 3) multiply_by<Kind, 3, 7, R, P>(from + 3 * panel_bytes);
  }
  store<0>(sums, row_bytes);
  if constexpr (R * P > 1) store<1>(sums + bytes, row_bytes);
  if constexpr (R * P > 2) store<2>(sums + 2 * bytes, row_bytes);
  if constexpr (R * P > 3) store<3>(sums + 3 * bytes, row_bytes);
}

// `inputs.take(slot, first, height)` is told of a block of rows, `inputs.rows(slot, chunk)` says
// where they lie; `finish(row, panel, sums)` gets sixteen sums once for every row and panel.
template <class Kind, int R, int P, class Inputs, class Finish>
void some(const Matrix& m, const Blocks& blocks, int block, int panel, Inputs& inputs,
          const Finish& finish) {
  alignas(64) uint8_t sums[4 * bytes];
  sum<Kind, R, P>(m, panel, inputs, sums);
  for (int r = 0; r < R; ++r) {
    const int first = blocks.first(block + r);
    for (int row = blocks.fresh(block + r); row < first + blocks.height; ++row)
      for (int p = 0; p < P; ++p)
        finish(row, panel + p, sums + (r * P + p) * bytes + (row - first) * size_t{row_bytes});
  }
}

// The rows `begin` to `end` - 1 and the panels `first` to `last` - 1.
template <class Kind, class Inputs, class Finish>
void multiply(const Matrix& m, int begin, int end, int first, int last, Inputs& inputs,
              const Finish& finish) {
  const Blocks blocks(begin, end);
  const Tiles held(blocks.height);
  for (int panel = first; panel < last; panel += panels_at_once) {
    const int stop = panel + panels_at_once < last ? panel + panels_at_once : last;
    int block = 0;
    for (; block + 2 <= blocks.count; block += 2) {
      inputs.take(0, blocks.first(block), blocks.height);
      inputs.take(1, blocks.first(block + 1), blocks.height);
      int p = panel;
      for (; p + 2 <= stop; p += 2) some<Kind, 2, 2>(m, blocks, block, p, inputs, finish);
      if (p < stop) some<Kind, 2, 1>(m, blocks, block, p, inputs, finish);
    }
    if (block == blocks.count) continue;
    inputs.take(0, blocks.first(block), blocks.height);
    switch (stop - panel) {
      case 4: some<Kind, 1, 4>(m, blocks, block, panel, inputs, finish); break;
      case 3: some<Kind, 1, 3>(m, blocks, block, panel, inputs, finish); break;
      case 2: some<Kind, 1, 2>(m, blocks, block, panel, inputs, finish); break;
      default: some<Kind, 1, 1>(m, blocks, block, panel, inputs, finish); break;
    }
  }
}

}  // namespace csm::tiles

#endif
