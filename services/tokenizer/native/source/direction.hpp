// One direction of the codec for up to `streams` streams, with their state.
#pragma once

#include <memory>
#include <mutex>

#include "quantizer.hpp"
#include "seanet.hpp"
#include "transformer.hpp"

namespace csm {

class Direction {
 public:
  // The matrices are packed as `format`, fp32 or bf16.
  Direction(bool encodes, int streams, int threads, Format format);

  // Its parts, in any order, before the first step.
  Seanet seanet;
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<Convolution> resample;  // none where a frame is one position
  std::unique_ptr<Quantizer> quantizer;

  const bool encodes;
  const int streams, threads;
  const Format format;
  int channels = 1;
  int frame_samples = 0;  // of each channel
  int positions = 1;     // of the transformer to a frame

  void reset(int stream);
  size_t bytes() const;

  // `frames` frames of each stream of the batch.
  // codes [count, frames, given] to audio [count, frames, frame_samples * channels].
  void decode(const Batch& batch, int frames, const int64_t* codes, int given, float* audio);
  // audio [count, frames, frame_samples * channels] to codes [count, frames, codebooks].
  void encode(const Batch& batch, int frames, const float* audio, int64_t* codes);

 private:
  void reserve(const Batch& batch, int frames);
  size_t frame_floats() const { return static_cast<size_t>(frame_samples) * channels; }

  Pool pool_;
  std::mutex one_caller_;
  Buffer<float> latents_;  // [count, frames, width], by the quantizer
  Buffer<float> hidden_;   // [count, frames, positions, width], by the transformer
  Buffer<float> window_;   // of the resampling convolution
};

}  // namespace csm
