// A causal convolution of many streams, each with the inputs it still needs.
//
// A signal is [segments, time, channels], without padding. The layer looks `context` inputs back:
// they are kept for every stream and put before its new inputs, and windows are read from there.
// Where weights are multiplied by pairs, what windows are read from is bf16, the past included.
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
  // Floats of `window` that a step of so many segments and inputs takes at most.
  size_t window_floats(int segments, int time) const;

  void reset(int stream);

  // By all workers at once: `time` new inputs of each segment to out. Ends with all workers met.
  void run(const Worker& worker, const Batch& batch, const Signal& x, int time, float* window,
           const Signal& out, bool add = false, Activation activation = Activation::none);

 private:
  template <class T>
  void fill(const Worker& worker, const Batch& batch, const Signal& x, int time, T* window);
  template <class T>
  void remember(const Worker& worker, const Batch& batch, int time, const T* window);
  // The signal as it is, without a window.
  bool reads_directly() const { return context_ == 0 && !elu_ && !rounds_; }
  int tap_length() const { return dilation_ > 1 ? inputs_ : kernel_ * inputs_; }
  template <class T>
  T* past(int stream) {
    return reinterpret_cast<T*>(past_.data()) + stream * past_values();
  }
  size_t past_values() const { return static_cast<size_t>(context_) * inputs_; }

  Matrix matrix_;
  Buffer<float> bias_;
  bool has_bias_;
  int inputs_, kernel_, stride_, dilation_, upsampling_, context_;
  bool replicate_, elu_;
  bool rounds_ = false;         // inputs to bf16
  Buffer<float> past_;          // [streams, context, inputs], as the windows hold them
  std::vector<uint8_t> fresh_;  // by stream: nothing was seen yet
};

}  // namespace csm
