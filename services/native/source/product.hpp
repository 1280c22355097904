// Rows times a packed matrix. A row's result is the same bit for bit whatever rows stand beside it
// and whichever thread makes which panels: an output is one sum, over its inputs in order.
#pragma once

#include "matrix.hpp"

namespace csm {

// What is multiplied: floats [rows, stride], and beside them as the matrix wants them: quantised
// row by row for int8, rounded for bf16 where pairs of products are one instruction. Behind a row's
// own values stand zeros up to a multiple of sixteen.
struct Inputs {
  const float* values = nullptr;
  size_t stride = 0;
  const uint8_t* bytes = nullptr;
  const float* scales = nullptr;
};

// Weights of several rows are asked for a page early, into the second cache: the processor itself
// does not look beyond a page, and sums too slowly to run ahead. With one row it does run ahead, and
// the asking takes the places of its own reads (docs/notes/native.md, "A frame on Zen 3").
constexpr int ahead_bytes = 4096;

// Bytes that `prepared` may need for each value.
constexpr size_t bytes_of_input = sizeof(bf16);

// values [rows, stride] as inputs of `matrix`; bytes [rows, stride, bytes_of_input] and scales
// [rows] are filled as needed.
Inputs prepared(const Matrix& matrix, const float* values, int rows, size_t stride, uint8_t* bytes,
                float* scales);

// Writes (or adds) the outputs of the panels `begin` to `end` - 1: out [rows, out_stride], output j
// of panel i at 16 i + j, lanes beyond the matrix's outputs included (as zeros, in `plain` order).
void product(const Matrix& matrix, const Inputs& inputs, int rows, int begin, int end, float* out,
             size_t out_stride, bool add);

// What exact sums of int8 come to: of one row and the sixteen outputs of a panel.
inline simd::F32 scaled(const simd::I32& sum, const Matrix& matrix, const Inputs& in, int row,
                        int panel) {
  const simd::I32 exact = simd::sub(sum, simd::load_int(matrix.offsets.data() + panel * lanes));
  const simd::F32 scale = simd::load(matrix.scales.data() + panel * lanes);
  return simd::mul(simd::to_float(exact), simd::mul(scale, simd::set(in.scales[row])));
}

// Quantises each row of values [rows, stride] symmetrically by its own largest value: bytes
// [rows, stride], scales [rows].
void quantize(const float* values, int rows, int width, size_t stride, uint8_t* bytes,
              float* scales);

}  // namespace csm
