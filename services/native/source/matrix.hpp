// A weight matrix, packed once for `product`.
//
// Sixteen outputs make a panel, one output a lane. A panel is a run of 64-byte steps, each holding
// for its sixteen outputs
//   fp32  1 input
//   bf16  2 inputs   (o0k0 o0k1 o1k0 o1k1 ...)
//   int8  4 inputs   (o0k0 o0k1 o0k2 o0k3 o1k0 ...)
// so that a product reads memory straight on, and every output is summed over its inputs in order.
// Outputs and inputs beyond the matrix's own are zeros. Sixteen such steps are a tile (tiles.hpp):
// where there are tiles, panels of bf16 and int8 are filled up to whole ones.
#pragma once

#include "buffer.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace csm {

enum class Format : int { fp32 = 0, bf16 = 1, int8 = 2 };

// Whether weights of this format are multiplied by inputs in bf16: a pair of products is one
// instruction then.
inline bool by_pairs(Format format) { return has_pairs && format == Format::bf16; }

// gate_up: [gate; up] stacked becomes panels of gate and up in turn, so that the thread that has
// one has the other.
enum class Order { plain, gate_up };

constexpr size_t step_bytes = 64;

struct Matrix {
  Format format = Format::fp32;
  int outputs = 0;
  int inputs = 0;
  int panels = 0;
  int steps = 0;
  int panel_steps = 0;  // with those that fill its last tile
  Buffer<uint8_t> weights;
  // int8 only, one an output: a weight is byte * scale; `offsets` undo simd::activation_offset.
  Buffer<float> scales;
  Buffer<int32_t> offsets;

  // Packs `source` [outputs, inputs], row by row.
  void pack(const float* source, int outputs, int inputs, Format format, Order order);

  // What has become of a weight in int8, in plain order.
  float int8_weight(int output, int input) const;

  size_t panel_bytes() const { return panel_steps * step_bytes; }
  size_t bytes() const { return weights.bytes() + scales.bytes() + offsets.bytes(); }

 private:
  void pack_row(const float* row, int panel, int lane);
};

}  // namespace csm
