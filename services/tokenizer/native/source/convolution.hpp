// A causal convolution of many streams, each with the inputs it still needs.
//
// A signal is [segments, time, channels], without padding. The layer looks `context` inputs back:
// they are kept for every stream and put before its new inputs, and windows are read from there.
// A transposed convolution comes as one of kernel 2 whose outputs are (phase, channel), unfolded
// in time: its outputs already lie as a signal of more steps and fewer channels.
#pragma once

#include <vector>

#include "windows.hpp"

namespace csm {

// What Python hands over; library.py has the same. weights [outputs, kernel, inputs].
struct ConvolutionShape {
  int32_t inputs;
  int32_t outputs;
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t upsampling;  // steps that an output unfolds to
  int32_t replicate;   // before the first input stand copies of it, not zeros
  int32_t elu;         // inputs pass through ELU first
  const float* weights;
  const float* bias;  // [outputs] or null
};

// The streams of a step, one a segment.
struct Batch {
  const int32_t* streams;
  int count;
};

struct Signal {
  float* values;
  size_t segment_stride;
};

class Convolution {
 public:
  Convolution(const ConvolutionShape& shape, int streams, Format format);

  int inputs() const { return inputs_; }
  int outputs() const { return matrix_.outputs; }
  // Steps that `time` inputs become, and how many floats they are.
  int steps(int time) const { return time / stride_ * upsampling_; }
  size_t floats(int time) const { return static_cast<size_t>(time / stride_) * outputs(); }
  size_t bytes() const { return matrix_.bytes(); }
  // Floats of `window` that a step of so many segments and inputs takes.
  size_t window_floats(int segments, int time) const;

  void reset(int stream);

  // By all workers at once: `time` new inputs of each segment to out. Ends with all workers met.
  void run(const Worker& worker, const Batch& batch, const Signal& x, int time, float* window,
           const Signal& out, bool add = false, Activation activation = Activation::none);

 private:
  void fill(const Worker& worker, const Batch& batch, const Signal& x, int time, float* window);
  void remember(const Worker& worker, const Batch& batch, int time, const float* window);
  int tap_length() const { return dilation_ > 1 ? inputs_ : kernel_ * inputs_; }
  float* past(int stream) { return past_.data() + stream * past_floats(); }
  size_t past_floats() const { return static_cast<size_t>(context_) * inputs_; }

  Matrix matrix_;
  Buffer<float> bias_;
  bool has_bias_;
  int inputs_, kernel_, stride_, dilation_, upsampling_, context_;
  bool replicate_, elu_;
  Buffer<float> past_;         // [streams, context, inputs]
  std::vector<uint8_t> fresh_;  // by stream: nothing was seen yet
};

}  // namespace csm
