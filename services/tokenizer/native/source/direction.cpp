#include "direction.hpp"

namespace csm {

Direction::Direction(bool encodes_, int streams_, int threads_, Format format_)
    : seanet(streams_, format_),
      encodes(encodes_),
      streams(streams_),
      threads(threads_),
      format(format_),
      pool_(threads_) {}

void Direction::reset(int stream) {
  std::lock_guard<std::mutex> lock(one_caller_);
  seanet.reset(stream);
  transformer->reset(stream);
  if (resample) resample->reset(stream);
}

size_t Direction::bytes() const {
  return seanet.bytes() + transformer->bytes() + quantizer->bytes() +
         (resample ? resample->bytes() : 0);
}

void Direction::reserve(const Batch& batch, int frames) {
  const size_t rows = static_cast<size_t>(batch.count) * frames;
  latents_.reserve(rows * transformer->width());
  hidden_.reserve(rows * positions * transformer->width());
  transformer->reserve(batch.count, frames * positions);
  quantizer->reserve(static_cast<int>(rows));
  seanet.reserve(batch.count, frames, encodes ? frame_samples : positions);
  if (resample)
    window_.reserve(resample->window_floats(batch.count, encodes ? frames * positions : frames));
}

void Direction::decode(const Batch& batch, int frames, const int64_t* codes, int given,
                       float* audio) {
  std::lock_guard<std::mutex> lock(one_caller_);
  reserve(batch, frames);
  const size_t width = transformer->width();
  const Signal latents{latents_.data(), frames * width};
  const Signal hidden{resample ? hidden_.data() : latents_.data(), frames * positions * width};
  const Signal out{audio, frames * frame_floats()};
  pool_.run([&](const Worker& worker) {
    quantizer->decode(worker, batch.count * frames, codes, given, latents.values);
    if (resample) resample->run(worker, batch, latents, frames, window_.data(), hidden);
    transformer->run(worker, batch, frames * positions, hidden);
    seanet.run(worker, batch, frames, positions, hidden, out);
  });
  transformer->advance(batch, frames * positions);
}

void Direction::encode(const Batch& batch, int frames, const float* audio, int64_t* codes) {
  std::lock_guard<std::mutex> lock(one_caller_);
  reserve(batch, frames);
  const size_t width = transformer->width();
  const Signal in{const_cast<float*>(audio), frames * frame_floats()};
  const Signal hidden{hidden_.data(), frames * positions * width};
  const Signal latents{resample ? latents_.data() : hidden_.data(), frames * width};
  pool_.run([&](const Worker& worker) {
    seanet.run(worker, batch, frames, frame_samples, in, hidden);
    transformer->run(worker, batch, frames * positions, hidden);
    if (resample) resample->run(worker, batch, hidden, frames * positions, window_.data(), latents);
    quantizer->encode(worker, batch.count * frames, latents.values, codes);
  });
  transformer->advance(batch, frames * positions);
}

}  // namespace csm
