#include "convolution.hpp"

#include <algorithm>

namespace csm {

Convolution::Convolution(const ConvolutionShape& shape, int streams, Format format)
    : has_bias_(shape.bias != nullptr),
      inputs_(shape.inputs),
      kernel_(shape.kernel),
      stride_(shape.stride),
      dilation_(shape.dilation),
      upsampling_(shape.upsampling),
      context_((shape.kernel - 1) * shape.dilation + 1 - shape.stride),
      replicate_(shape.replicate != 0),
      elu_(shape.elu != 0),
      fresh_(streams, 1) {
  matrix_.pack(shape.weights, shape.outputs, shape.kernel * shape.inputs,
               format_for(format, tap_length()), Order::plain);
  rounds_ = by_pairs(matrix_.format);
  if (has_bias_) {
    bias_.reserve(static_cast<size_t>(matrix_.panels) * lanes);
    std::copy_n(shape.bias, shape.outputs, bias_.data());
  }
  past_.reserve(streams * past_values());
}

size_t Convolution::window_floats(int segments, int time) const {
  if (reads_directly()) return 0;
  return static_cast<size_t>(segments) * (context_ + time) * inputs_;
}

void Convolution::reset(int stream) {
  if (rounds_)
    std::fill_n(past<bf16>(stream), past_values(), bf16{0});
  else
    std::fill_n(past<float>(stream), past_values(), 0.0f);
  fresh_[stream] = 1;
}

template <class T>
void Convolution::fill(const Worker& worker, const Batch& batch, const Signal& x, int time,
                       T* window) {
  const size_t segment_values = static_cast<size_t>(context_ + time) * inputs_;
  const auto bring = [&](const float* from, size_t count, T* to) {
    if (elu_)
      rewrite(from, count, to, [](simd::F32 x) { return elu(x); });
    else
      rewrite(from, count, to);
  };
  const Worker::Range mine = worker.share(batch.count * time);
  for (int row = mine.begin; row < mine.end;) {
    const int segment = row / time, from = row % time;
    const int to = std::min(time, from + mine.end - row);
    bring(x.values + segment * x.segment_stride + static_cast<size_t>(from) * inputs_,
          static_cast<size_t>(to - from) * inputs_,
          window + segment * segment_values + static_cast<size_t>(context_ + from) * inputs_);
    row += to - from;
  }
  const Worker::Range segments = worker.share(batch.count);
  for (int segment = segments.begin; segment < segments.end; ++segment) {
    const int stream = batch.streams[segment];
    T* to = window + segment * segment_values;
    if (replicate_ && fresh_[stream])
      for (int i = 0; i < context_; ++i)
        bring(x.values + segment * x.segment_stride, inputs_,
              to + static_cast<size_t>(i) * inputs_);
    else
      std::copy_n(past<T>(stream), past_values(), to);
  }
}

template <class T>
void Convolution::remember(const Worker& worker, const Batch& batch, int time, const T* window) {
  const size_t segment_values = static_cast<size_t>(context_ + time) * inputs_;
  const Worker::Range segments = worker.share(batch.count);
  for (int segment = segments.begin; segment < segments.end; ++segment) {
    const int stream = batch.streams[segment];
    std::copy_n(window + segment * segment_values + static_cast<size_t>(time) * inputs_,
                past_values(), past<T>(stream));
    fresh_[stream] = 0;
  }
}

void Convolution::run(const Worker& worker, const Batch& batch, const Signal& x, int time,
                      float* window, const Signal& out, bool add, Activation activation) {
  const bool direct = reads_directly();
  Windows in{};
  in.values = x.values;
  if (rounds_) {
    bf16* rounded = reinterpret_cast<bf16*>(window);
    fill(worker, batch, x, time, rounded);
    in.rounded = rounded;
  } else if (!direct) {
    fill(worker, batch, x, time, window);
    in.values = window;
  }
  if (!direct) worker.meet();
  in.segments = batch.count;
  in.time = time / stride_;
  in.segment_stride =
      direct ? x.segment_stride : static_cast<size_t>(context_ + time) * inputs_;
  in.row_stride = static_cast<size_t>(stride_) * inputs_;
  // Undilated, the taps of a window are one run.
  in.taps = dilation_ > 1 ? kernel_ : 1;
  in.tap_length = tap_length();
  in.tap_stride = static_cast<size_t>(dilation_) * inputs_;
  Results results{};
  results.values = out.values;
  results.segment_stride = out.segment_stride;
  results.row_stride = matrix_.outputs;
  results.bias = has_bias_ ? bias_.data() : nullptr;
  results.add = add;
  results.activation = activation;
  multiply(worker, matrix_, in, results);
  if (context_ && rounds_) remember(worker, batch, time, in.rounded);
  if (context_ && !rounds_) remember(worker, batch, time, in.values);
  worker.meet();
}

}  // namespace csm
