// What Python calls (library.py): plain C. Python checks shapes; what can fail here is memory, told
// by a non-zero number.

#include "block.hpp"
#include "guarded.hpp"
#include "sizes.hpp"

#define TRAINING_API extern "C" __attribute__((visibility("default")))

TRAINING_API const csm::StructSize* csm_struct_sizes() {
  static const csm::StructSize sizes[] = {CSM_SIZE(BlockShape), CSM_SIZE(BlockWeights),
                                          CSM_SIZE(BlockGradients), {nullptr, 0}};
  return sizes;
}

TRAINING_API int32_t training_block_forward(const csm::BlockShape* shape,
                                            const csm::BlockWeights* weights, const float* x,
                                            int64_t rows, int64_t time, float* y) {
  return csm::guarded([&] { csm::block_forward(*shape, *weights, x, rows, time, y); });
}

TRAINING_API int32_t training_block_backward(const csm::BlockShape* shape,
                                             const csm::BlockWeights* weights, const float* x,
                                             const float* dy, int64_t rows, int64_t time, float* dx,
                                             const csm::BlockGradients* gradients) {
  return csm::guarded(
      [&] { csm::block_backward(*shape, *weights, x, dy, rows, time, dx, *gradients); });
}
