#include "seanet.hpp"

#include <algorithm>

namespace csm {
namespace {

// 256 KiB: what a stage writes and reads again stays in a core's own cache.
constexpr size_t activation_floats = size_t{1} << 16;

// Part of a step: neighbouring segments, and the same few frames of each.
struct Slice {
  int first_segment, segments;
  int first_frame, frames;
};

template <class Work>
void each_slice(int segments, int frames, int at_once, Work work) {
  if (at_once >= frames) {
    const int group = std::max(1, at_once / frames);
    for (int first = 0; first < segments; first += group)
      work(Slice{first, std::min(group, segments - first), 0, frames});
    return;
  }
  for (int segment = 0; segment < segments; ++segment)
    for (int frame = 0; frame < frames; frame += at_once)
      work(Slice{segment, 1, frame, std::min(at_once, frames - frame)});
}

Signal part(const Signal& signal, const Slice& slice, size_t frame_floats) {
  return {signal.values + slice.first_segment * signal.segment_stride +
              slice.first_frame * frame_floats,
          signal.segment_stride};
}

}  // namespace

size_t Stage::weight_floats() const {
  size_t bytes = convolution.bytes();
  for (const ResidualBlock& block : blocks) {
    bytes += block.inner.bytes() + block.outer.bytes();
    if (block.shortcut) bytes += block.shortcut->bytes();
  }
  return bytes / sizeof(float);
}

void Seanet::add_convolution(const ConvolutionShape& shape) {
  stages_.push_back(Stage{Convolution(shape, streams_, format_), {}});
}

void Seanet::add_block(const ConvolutionShape& inner, const ConvolutionShape& outer,
                       const ConvolutionShape* shortcut) {
  ResidualBlock block{Convolution(inner, streams_, format_), Convolution(outer, streams_, format_),
                      nullptr};
  if (shortcut) block.shortcut = std::make_unique<Convolution>(*shortcut, streams_, format_);
  stages_.back().blocks.push_back(std::move(block));
}

size_t Seanet::bytes() const {
  size_t total = 0;
  for (const Stage& stage : stages_) total += stage.weight_floats() * sizeof(float);
  return total;
}

void Seanet::reset(int stream) {
  for (Stage& stage : stages_) {
    stage.convolution.reset(stream);
    for (ResidualBlock& block : stage.blocks) block.inner.reset(stream);
  }
}

int Seanet::frames_at_once(const Stage& stage, int time) const {
  const size_t in = static_cast<size_t>(time) * stage.convolution.inputs();
  const size_t out = stage.convolution.floats(time);
  const size_t room = std::max(activation_floats, stage.weight_floats() / 2);
  return static_cast<int>(std::max<size_t>(1, room / std::max(in, out)));
}

void Seanet::reserve(int segments, int frames, int time) {
  size_t window = 0, hidden = 0, between = 0, skipped = 0;
  for (const Stage& stage : stages_) {
    const Convolution& convolution = stage.convolution;
    each_slice(segments, frames, frames_at_once(stage, time), [&](const Slice& slice) {
      const int inputs = slice.frames * time;
      window = std::max(window, convolution.window_floats(slice.segments, inputs));
      const int steps = convolution.steps(inputs);
      for (const ResidualBlock& block : stage.blocks) {
        const Convolution* all[] = {&block.inner, &block.outer, block.shortcut.get()};
        for (const Convolution* each : all)
          if (each) window = std::max(window, each->window_floats(slice.segments, steps));
        hidden = std::max(hidden, slice.segments * block.inner.floats(steps));
        if (block.shortcut)
          skipped = std::max(skipped, slice.segments * convolution.floats(inputs));
      }
    });
    between = std::max(between, segments * convolution.floats(frames * time));
    time = convolution.steps(time);
  }
  window_.reserve(window);
  hidden_.reserve(hidden);
  skipped_.reserve(skipped);
  for (Buffer<float>& buffer : between_) buffer.reserve(between);
}

void Seanet::run(const Worker& worker, const Batch& batch, int frames, int time, const Signal& x,
                 const Signal& out) {
  Signal from = x;
  for (size_t index = 0; index < stages_.size(); ++index) {
    Stage& stage = stages_[index];
    const size_t frame_in = static_cast<size_t>(time) * stage.convolution.inputs();
    const size_t frame_out = stage.convolution.floats(time);
    const Signal to = index + 1 == stages_.size()
                          ? out
                          : Signal{between_[index % 2].data(), frames * frame_out};
    each_slice(batch.count, frames, frames_at_once(stage, time), [&](const Slice& slice) {
      run_stage(worker, stage, Batch{batch.streams + slice.first_segment, slice.segments},
                slice.frames * time, part(from, slice, frame_in), part(to, slice, frame_out));
    });
    from = to;
    time = stage.convolution.steps(time);
  }
}

void Seanet::run_stage(const Worker& worker, Stage& stage, const Batch& batch, int time,
                       const Signal& x, const Signal& out) {
  stage.convolution.run(worker, batch, x, time, window_.data(), out);
  const int steps = stage.convolution.steps(time);
  const size_t floats = stage.convolution.floats(time);
  for (ResidualBlock& block : stage.blocks) {
    const Signal hidden{hidden_.data(), block.inner.floats(steps)};
    block.inner.run(worker, batch, out, steps, window_.data(), hidden, false, Activation::elu);
    if (block.shortcut) {
      const Signal skipped{skipped_.data(), floats};
      const Worker::Range mine = worker.share(batch.count);
      for (int segment = mine.begin; segment < mine.end; ++segment)
        std::memcpy(skipped.values + segment * floats, out.values + segment * out.segment_stride,
                    floats * sizeof(float));
      worker.meet();
      block.shortcut->run(worker, batch, skipped, steps, window_.data(), out);
    }
    block.outer.run(worker, batch, hidden, steps, window_.data(), out, true);
  }
}

}  // namespace csm
