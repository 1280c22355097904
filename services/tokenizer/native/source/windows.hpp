// Windows of a signal times a packed matrix: what linear layers and convolutions come down to.
//
// A signal is [segments, time, channels]; a segment is what one stream brings to a step. A window
// is `taps` runs of `tap_length` floats, `tap_stride` apart; windows may overlap, so a convolution
// reads its input where it lies. An output is one sum over its window in order, kept in fp32: the
// same bits whatever stands beside it, whoever makes it, and however the sums are cut into pieces.
#pragma once

#include "activation.hpp"
#include "matrix.hpp"
#include "pool.hpp"

namespace csm {

struct Windows {
  const float* values;
  // The same rounded to bf16, in place of `values`, where the matrix goes `by_pairs`.
  const bf16* rounded = nullptr;
  int segments;
  int time;
  size_t segment_stride;
  size_t row_stride;
  int tap_length;
  int taps = 1;
  size_t tap_stride = 0;

  int rows() const { return segments * time; }
};

// Where a window's outputs go: exactly as many floats as the matrix has outputs.
struct Results {
  float* values;
  size_t segment_stride;
  size_t row_stride;
  const float* bias = nullptr;  // as many as the matrix's panels have lanes
  bool add = false;             // to what is there
  Activation activation = Activation::none;
};

// What a matrix whose windows are runs of `tap_length` can be packed as, where `wanted` is asked for:
// bf16 goes by pairs of inputs.
inline Format format_for(Format wanted, int tap_length) {
  return tap_length % 2 ? Format::fp32 : wanted;
}

// Called by every worker; each makes its share. fp32 and bf16 matrices in plain order only.
void multiply(const Worker& worker, const Matrix& matrix, const Windows& in, const Results& out);

}  // namespace csm
