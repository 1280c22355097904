// What Python calls (library.py): plain C, so that no ABI of torch's has to fit.
//
// Python checks shapes and ranges; what can fail here is memory and threads, told by a null pointer
// or a non-zero number. A function that works on a model may be called from any thread, one at a
// time.

#include <exception>

#include "guarded.hpp"
#include "model.hpp"
#include "sizes.hpp"

#define CSM_API extern "C" __attribute__((visibility("default")))

using csm::guarded;

namespace {

// The matrices and norms of a model, by number; library.py has the same.
enum MatrixRole {
  qkv = 0,
  attention_out = 1,
  gate_up = 2,
  down = 3,
  lm_head = 4,
  projection = 5,
  head = 6
};
enum NormRole { attention_norm = 0, mlp_norm = 1, final_norm = 2 };

csm::Stack& stack_of(csm::Model& model, int32_t is_depth) {
  return is_depth ? model.depth : model.backbone;
}

}  // namespace

CSM_API const csm::StructSize* csm_struct_sizes() {
  static const csm::StructSize sizes[] = {CSM_SIZE(StackShape),   CSM_SIZE(ModelShape),
                                          CSM_SIZE(Cache),        CSM_SIZE(BackboneRows),
                                          CSM_SIZE(FrameRows),    {nullptr, 0}};
  return sizes;
}

CSM_API csm::Model* csm_create(const csm::ModelShape* shape, int32_t format, int32_t threads) {
  try {
    return new csm::Model(*shape, static_cast<csm::Format>(format), threads);
  } catch (const std::exception&) {
    return nullptr;
  }
}

CSM_API void csm_destroy(csm::Model* model) { delete model; }

CSM_API int64_t csm_bytes(const csm::Model* model) { return model->bytes(); }

// `index` is the layer, or the codebook less one of a head. `weights` is [outputs, inputs].
CSM_API int32_t csm_set_matrix(csm::Model* model, int32_t is_depth, int32_t index, int32_t role,
                               const float* weights, int32_t outputs, int32_t inputs) {
  return guarded([&] {
    csm::Stack& stack = stack_of(*model, is_depth);
    csm::Matrix* matrix = nullptr;
    switch (role) {
      case qkv: matrix = &stack.layers[index].qkv; break;
      case attention_out: matrix = &stack.layers[index].attention_out; break;
      case gate_up: matrix = &stack.layers[index].gate_up; break;
      case down: matrix = &stack.layers[index].down; break;
      case lm_head: matrix = &model->lm_head; break;
      case projection: matrix = &model->projection; break;
      default: matrix = &model->heads[index]; break;
    }
    matrix->pack(weights, outputs, inputs, model->format,
                 role == gate_up ? csm::Order::gate_up : csm::Order::plain);
  });
}

CSM_API void csm_set_norm(csm::Model* model, int32_t is_depth, int32_t index, int32_t role,
                          const float* weights) {
  csm::Stack& stack = stack_of(*model, is_depth);
  float* to = role == final_norm       ? stack.norm.data()
              : role == attention_norm ? stack.layers[index].attention_norm.data()
                                       : stack.layers[index].mlp_norm.data();
  for (int i = 0; i < stack.shape.width; ++i) to[i] = weights[i];
}

// cosines and sines [max_positions, head_dim / 2]
CSM_API void csm_set_rope(csm::Model* model, int32_t is_depth, const float* cosines,
                          const float* sines) {
  csm::Stack& stack = stack_of(*model, is_depth);
  const size_t size = static_cast<size_t>(stack.shape.max_positions) * (stack.shape.head_dim / 2);
  for (size_t i = 0; i < size; ++i) {
    stack.cosines[i] = cosines[i];
    stack.sines[i] = sines[i];
  }
}

// The tables are read where they are, for as long as the model lives.
CSM_API void csm_set_tables(csm::Model* model, const void* audio, const void* text,
                            int32_t are_bf16) {
  model->audio_table = audio;
  model->text_table = text;
  model->tables_are_bf16 = are_bf16 != 0;
}

CSM_API int32_t csm_run_backbone(csm::Model* model, const csm::BackboneRows* rows,
                                 const csm::Cache* cache) {
  return guarded([&] { model->run_backbone(*rows, *cache); });
}

CSM_API int32_t csm_draw_frames(csm::Model* model, const csm::FrameRows* rows) {
  return guarded([&] { model->draw_frames(*rows); });
}
