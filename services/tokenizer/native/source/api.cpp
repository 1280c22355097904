// What Python calls (library.py): plain C, so that no ABI of torch's has to fit.
//
// Python checks shapes and ranges; what can fail here is memory and threads, told by a null pointer
// or a non-zero number. A direction may be called from any thread; calls wait for one another.

#include <exception>

#include "direction.hpp"
#include "guarded.hpp"
#include "sizes.hpp"

#define CODEC_API extern "C" __attribute__((visibility("default")))

using csm::Direction;
using csm::guarded;

CODEC_API const csm::StructSize* csm_struct_sizes() {
  static const csm::StructSize sizes[] = {CSM_SIZE(ConvolutionShape), CSM_SIZE(TransformerShape),
                                          CSM_SIZE(LayerWeights), CSM_SIZE(QuantizerShape),
                                          {nullptr, 0}};
  return sizes;
}

// `format` is a csm::Format, fp32 or bf16.
CODEC_API Direction* codec_create(int32_t encodes, int32_t streams, int32_t threads, int32_t format,
                                  int32_t channels, int32_t frame_samples, int32_t positions) {
  try {
    auto direction = std::make_unique<Direction>(encodes != 0, streams, threads,
                                                 static_cast<csm::Format>(format));
    direction->channels = channels;
    direction->frame_samples = frame_samples;
    direction->positions = positions;
    return direction.release();
  } catch (const std::exception&) {
    return nullptr;
  }
}

CODEC_API void codec_destroy(Direction* direction) { delete direction; }

CODEC_API int64_t codec_bytes(const Direction* direction) { return direction->bytes(); }

// Convolutions and blocks come in the order in which audio or latents pass them.
CODEC_API int32_t codec_add_convolution(Direction* direction, const csm::ConvolutionShape* shape) {
  return guarded([&] { direction->seanet.add_convolution(*shape); });
}

// `shortcut` may be null.
CODEC_API int32_t codec_add_block(Direction* direction, const csm::ConvolutionShape* inner,
                                  const csm::ConvolutionShape* outer,
                                  const csm::ConvolutionShape* shortcut) {
  return guarded([&] { direction->seanet.add_block(*inner, *outer, shortcut); });
}

CODEC_API int32_t codec_set_resample(Direction* direction, const csm::ConvolutionShape* shape) {
  return guarded([&] {
    direction->resample =
        std::make_unique<csm::Convolution>(*shape, direction->streams, direction->format);
  });
}

CODEC_API int32_t codec_set_transformer(Direction* direction, const csm::TransformerShape* shape) {
  return guarded([&] {
    direction->transformer = std::make_unique<csm::Transformer>(
        *shape, direction->streams, direction->threads, direction->format);
  });
}

CODEC_API int32_t codec_add_layer(Direction* direction, const csm::LayerWeights* weights) {
  return guarded([&] { direction->transformer->add_layer(*weights); });
}

CODEC_API int32_t codec_set_quantizer(Direction* direction, const csm::QuantizerShape* shape) {
  return guarded([&] {
    direction->quantizer =
        std::make_unique<csm::Quantizer>(*shape, direction->threads, direction->encodes);
  });
}

CODEC_API void codec_reset(Direction* direction, int32_t stream) { direction->reset(stream); }

CODEC_API int32_t codec_decode(Direction* direction, const int32_t* streams, int32_t count,
                               int32_t frames, const int64_t* codes, int32_t given, float* audio) {
  return guarded(
      [&] { direction->decode(csm::Batch{streams, count}, frames, codes, given, audio); });
}

CODEC_API int32_t codec_encode(Direction* direction, const int32_t* streams, int32_t count,
                               int32_t frames, const float* audio, int64_t* codes) {
  return guarded([&] { direction->encode(csm::Batch{streams, count}, frames, audio, codes); });
}
