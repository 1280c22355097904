// What Python calls (library.py): plain C, so that no ABI of torch's has to fit.
//
// Python checks shapes and ranges; what can fail here is memory and threads, told by a null pointer
// or a non-zero number. A half may be called from any thread; calls wait for one another.

#include <exception>

#include "guarded.hpp"
#include "half.hpp"
#include "sizes.hpp"

#define CODEC_API extern "C" __attribute__((visibility("default")))

using csm::guarded;

CODEC_API const csm::StructSize* csm_struct_sizes() {
  static const csm::StructSize sizes[] = {CSM_SIZE(ConvolutionShape), CSM_SIZE(TransformerShape),
                                          CSM_SIZE(LayerWeights), CSM_SIZE(QuantizerShape),
                                          {nullptr, 0}};
  return sizes;
}

// `format` is a csm::Format, fp32 or bf16.
CODEC_API csm::Half* codec_create(int32_t encodes, int32_t streams, int32_t threads, int32_t format,
                                  int32_t channels, int32_t frame_samples, int32_t positions) {
  try {
    auto half = std::make_unique<csm::Half>(encodes != 0, streams, threads,
                                            static_cast<csm::Format>(format));
    half->channels = channels;
    half->frame_samples = frame_samples;
    half->positions = positions;
    return half.release();
  } catch (const std::exception&) {
    return nullptr;
  }
}

CODEC_API void codec_destroy(csm::Half* half) { delete half; }

CODEC_API int64_t codec_bytes(const csm::Half* half) { return half->bytes(); }

// Convolutions and blocks come in the order in which audio or latents pass them.
CODEC_API int32_t codec_add_convolution(csm::Half* half, const csm::ConvolutionShape* shape) {
  return guarded([&] { half->seanet.add_convolution(*shape); });
}

// `shortcut` may be null.
CODEC_API int32_t codec_add_block(csm::Half* half, const csm::ConvolutionShape* inner,
                                  const csm::ConvolutionShape* outer,
                                  const csm::ConvolutionShape* shortcut) {
  return guarded([&] { half->seanet.add_block(*inner, *outer, shortcut); });
}

CODEC_API int32_t codec_set_resample(csm::Half* half, const csm::ConvolutionShape* shape) {
  return guarded([&] {
    half->resample = std::make_unique<csm::Convolution>(*shape, half->streams, half->format);
  });
}

CODEC_API int32_t codec_set_transformer(csm::Half* half, const csm::TransformerShape* shape) {
  return guarded([&] {
    half->transformer = std::make_unique<csm::Transformer>(*shape, half->streams, half->threads,
                                                           half->format);
  });
}

CODEC_API int32_t codec_add_layer(csm::Half* half, const csm::LayerWeights* weights) {
  return guarded([&] { half->transformer->add_layer(*weights); });
}

CODEC_API int32_t codec_set_quantizer(csm::Half* half, const csm::QuantizerShape* shape) {
  return guarded([&] {
    half->quantizer = std::make_unique<csm::Quantizer>(*shape, half->threads, half->encodes);
  });
}

CODEC_API void codec_reset(csm::Half* half, int32_t stream) { half->reset(stream); }

CODEC_API int32_t codec_decode(csm::Half* half, const int32_t* streams, int32_t count,
                               int32_t frames, const int64_t* codes, int32_t given, float* audio) {
  return guarded([&] { half->decode(csm::Batch{streams, count}, frames, codes, given, audio); });
}

CODEC_API int32_t codec_encode(csm::Half* half, const int32_t* streams, int32_t count,
                               int32_t frames, const float* audio, int64_t* codes) {
  return guarded([&] { half->encode(csm::Batch{streams, count}, frames, audio, codes); });
}
