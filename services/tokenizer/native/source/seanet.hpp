// SEANet: a stack of convolutions and residual blocks, encoder and decoder alike.
#pragma once

#include <memory>
#include <vector>

#include "convolution.hpp"

namespace csm {

// x + outer(elu(inner(elu(x)))), or with a shortcut convolution of x in place of x.
struct ResidualBlock {
  Convolution inner, outer;
  std::unique_ptr<Convolution> shortcut;
};

// A convolution that may change the rate, and the blocks at its rate.
struct Stage {
  Convolution convolution;
  std::vector<ResidualBlock> blocks;

  size_t weight_floats() const;
};

class Seanet {
 public:
  Seanet(int streams, Format format) : streams_(streams), format_(format) {}

  void add_convolution(const ConvolutionShape& shape);
  void add_block(const ConvolutionShape& inner, const ConvolutionShape& outer,
                 const ConvolutionShape* shortcut);

  // Makes room for steps of so many segments and frames of `time` inputs each.
  void reserve(int segments, int frames, int time);
  void reset(int stream);
  size_t bytes() const;

  // By all workers at once: `frames` frames of `time` steps each to `out`. x and out may not be
  // the same memory. Ends with all workers met.
  void run(const Worker& worker, const Batch& batch, int frames, int time, const Signal& x,
           const Signal& out);

 private:
  // How many frames of one segment a stage takes at a time: large activations stay in the cache,
  // and large weights are read once for as many rows as there are.
  int frames_at_once(const Stage& stage, int time) const;
  void run_stage(const Worker& worker, Stage& stage, const Batch& batch, int time, const Signal& x,
                 const Signal& out);

  int streams_;
  Format format_;
  std::vector<Stage> stages_;
  Buffer<float> between_[2];
  Buffer<float> window_, hidden_, skipped_;
};

}  // namespace csm
