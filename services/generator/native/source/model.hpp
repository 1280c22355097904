// A whole CSM: the backbone's step and prefill, and the frame that grows from a hidden state.
#pragma once

#include <mutex>
#include <vector>

#include "sampling.hpp"
#include "stack.hpp"

namespace csm {

struct ModelShape {
  StackShape backbone;
  StackShape depth;
  int32_t num_codebooks;
  int32_t vocab_size;     // codes of one codebook, reserved ones included
  int32_t codebook_size;  // codes that may be drawn
};

// Positions to run through the backbone, one a row.
struct BackboneRows {
  int32_t count;
  const int64_t* slots;
  const int64_t* positions;
  const int64_t* frames;  // [count, num_codebooks + 1]: codes and a text id, -1 where absent
  const int64_t* wanted;  // where in `hidden` the row's state goes, -1: nowhere
  float* hidden;          // [any, width], after the final norm
};

// Frames to draw. All arrays are those of all slots; `slots` says which take part.
struct FrameRows {
  int32_t count;
  const int64_t* slots;
  const float* hidden;       // [slots, width]
  const float* temperature;  // [slots], of codebook 0
  const float* depth_temperature;
  const int64_t* top_k;
  const float* top_p;
  const float* end_bias;  // [slots], added to codebook 0's first logit
  const float* noise;     // [slots, num_codebooks, vocab_size]
  int64_t* codes;         // [slots, num_codebooks], written
};

class Model {
 public:
  Model(const ModelShape& shape, Format format, int threads);

  const ModelShape shape;
  const Format format;
  Stack backbone;
  Stack depth;
  Matrix lm_head, projection;
  std::vector<Matrix> heads;  // of codebook 1 and on
  // The embeddings [num_codebooks * vocab_size, width] and [any, width], the caller's memory.
  const void* audio_table = nullptr;
  const void* text_table = nullptr;
  bool tables_are_bf16 = false;

  void run_backbone(const BackboneRows& rows, const Cache& cache);
  void draw_frames(const FrameRows& rows);

  // Of the packed weights.
  size_t bytes() const;

 private:
  void embed(const BackboneRows& rows, int begin, int end);
  void add_code(int book, int64_t code, int begin, int end, float* to) const;
  void add_row(const void* table, int64_t row, int begin, int end, float* to) const;
  void first_codes(const Worker& worker, const FrameRows& rows);
  void next_codes(const Worker& worker, const FrameRows& rows, int book);
  void choose(const Worker& worker, const FrameRows& rows, int book);

  Pool pool_;
  std::mutex one_caller_;
  std::vector<Scratch> scratch_;
  std::vector<DrawScratch> draw_scratch_;
  Activations backbone_activations_, depth_activations_;
  Buffer<float> states_;  // hidden states of the rows to draw for, zeros behind each
  Buffer<float> logits_;
  Buffer<float> depth_keys_, depth_values_;
  Cache depth_cache_{};
  std::vector<int64_t> kept_;  // rows of the backbone whose states are wanted
  // Slots and positions of the depth decoder's rows: in the first pass two a frame, of which the
  // second is kept, then one.
  std::vector<int64_t> pair_slots_, pair_positions_, pair_kept_, single_slots_, single_positions_;
};

}  // namespace csm
