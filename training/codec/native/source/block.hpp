// A residual block of SEANet, y = x + outer(elu(inner(elu(x)))), forward and backward.
//
// `inner` looks back over kernel taps, `dilation` apart, from `channels` to `hidden`; `outer` has
// one tap and goes back to `channels`. Numbers come and go as [rows, time, channels]. Inside, a tile
// of time is turned to [channels, time], so that lanes are moments and any number of channels that
// four divides is fast, and all steps pass over it while it is in the caches.
#pragma once

#include <cstdint>

namespace csm {

struct BlockShape {
  int32_t channels, hidden, kernel, dilation;
};

struct BlockWeights {
  // [hidden, kernel, channels], [hidden], [channels, hidden], [channels]
  const float *inner, *inner_bias, *outer, *outer_bias;
};

struct BlockGradients {
  // As in BlockWeights; what is found is added.
  float *inner, *inner_bias, *outer, *outer_bias;
};

void block_forward(const BlockShape& shape, const BlockWeights& weights, const float* x,
                   int64_t rows, int64_t time, float* y);

// `dy` is the gradient of what block_forward gave for `x`; writes that of `x`.
void block_backward(const BlockShape& shape, const BlockWeights& weights, const float* x,
                    const float* dy, int64_t rows, int64_t time, float* dx,
                    const BlockGradients& gradients);

}  // namespace csm
