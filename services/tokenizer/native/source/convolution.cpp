#include "convolution.hpp"

#include <algorithm>

namespace csm {
namespace {

void copy(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

void elu_of(const float* from, size_t count, float* to) {
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) simd::store(to + i, elu(simd::load(from + i)));
  const int n = static_cast<int>(count - i);
  if (n) simd::store_n(to + i, elu(simd::load_n(from + i, n)), n);
}

}  // namespace

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
  if (has_bias_) {
    bias_.reserve(static_cast<size_t>(matrix_.panels) * lanes);
    copy(shape.bias, shape.outputs, bias_.data());
  }
  past_.reserve(streams * past_floats());
}

size_t Convolution::window_floats(int segments, int time) const {
  if (context_ == 0 && !elu_) return 0;
  return static_cast<size_t>(segments) * (context_ + time) * inputs_;
}

void Convolution::reset(int stream) {
  std::fill_n(past(stream), past_floats(), 0.0f);
  fresh_[stream] = 1;
}

void Convolution::fill(const Worker& worker, const Batch& batch, const Signal& x, int time,
                       float* window) {
  const size_t segment_floats = static_cast<size_t>(context_ + time) * inputs_;
  const auto pass = elu_ ? elu_of : copy;
  const Worker::Range mine = worker.share(batch.count * time);
  for (int row = mine.begin; row < mine.end;) {
    const int segment = row / time, from = row % time;
    const int to = std::min(time, from + mine.end - row);
    pass(x.values + segment * x.segment_stride + static_cast<size_t>(from) * inputs_,
         static_cast<size_t>(to - from) * inputs_,
         window + segment * segment_floats + static_cast<size_t>(context_ + from) * inputs_);
    row += to - from;
  }
  const Worker::Range segments = worker.share(batch.count);
  for (int segment = segments.begin; segment < segments.end; ++segment) {
    const int stream = batch.streams[segment];
    float* to = window + segment * segment_floats;
    if (replicate_ && fresh_[stream])
      for (int i = 0; i < context_; ++i)
        pass(x.values + segment * x.segment_stride, inputs_, to + static_cast<size_t>(i) * inputs_);
    else
      copy(past(stream), past_floats(), to);
  }
}

void Convolution::remember(const Worker& worker, const Batch& batch, int time,
                           const float* window) {
  const size_t segment_floats = static_cast<size_t>(context_ + time) * inputs_;
  const Worker::Range segments = worker.share(batch.count);
  for (int segment = segments.begin; segment < segments.end; ++segment) {
    const int stream = batch.streams[segment];
    copy(window + segment * segment_floats + static_cast<size_t>(time) * inputs_, past_floats(),
         past(stream));
    fresh_[stream] = 0;
  }
}

void Convolution::run(const Worker& worker, const Batch& batch, const Signal& x, int time,
                      float* window, const Signal& out, bool add, Activation activation) {
  const bool direct = context_ == 0 && !elu_;
  if (!direct) {
    fill(worker, batch, x, time, window);
    worker.meet();
  }
  Windows in{};
  in.values = direct ? x.values : window;
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
  if (context_) remember(worker, batch, time, window);
  worker.meet();
}

}  // namespace csm
