#include "kernels/cpu/onednn.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/error.h"

namespace scrawl::cpu {

const dnnl::engine& engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

bool computes_in(DType type) {
  static const bool has_amx = dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
  return type == DType::f32 || (type == DType::bf16 && has_amx);
}

ThreadScope::ThreadScope([[maybe_unused]] int threads) : before_(1) {
#ifdef _OPENMP
  before_ = omp_get_max_threads();
  omp_set_num_threads(threads);
#endif
}

ThreadScope::~ThreadScope() {
#ifdef _OPENMP
  omp_set_num_threads(before_);
#endif
}

dnnl::primitive_attr attributes(Activation activation) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (activation == Activation::none) return attributes;
  const auto algorithm = activation == Activation::relu      ? dnnl::algorithm::eltwise_relu
                         : activation == Activation::sigmoid ? dnnl::algorithm::eltwise_logistic
                                                             : dnnl::algorithm::eltwise_tanh;
  dnnl::post_ops post;
  post.append_eltwise(1.0f, algorithm, 0.0f, 0.0f);
  attributes.set_post_ops(post);
  return attributes;
}

Primitive::Primitive(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad,
                     std::vector<Operand> operands, int threads)
    : primitive_(std::move(primitive)), workspace_bytes_(scratchpad.get_size()), threads_(threads) {
  operands.push_back({DNNL_ARG_SCRATCHPAD, scratchpad});
  for (const auto& [argument, desc] : operands) {
    memories_.push_back({desc, engine(), DNNL_MEMORY_NONE});
    arguments_.push_back({argument, memories_.back().get()});
  }
}

void Primitive::run(std::initializer_list<void*> data, Bytes workspace) {
  if (data.size() + 1 != memories_.size())
    throw InternalError("oneDNN: expected {} operands, got {}", memories_.size() - 1, data.size());
  static thread_local const dnnl::stream stream(engine());
  const ThreadScope scope(threads_);
  auto memory = memories_.begin();
  for (void* pointer : data) (memory++)->set_data_handle(pointer, stream);
  memory->set_data_handle(workspace.data(), stream);
  const auto status = dnnl_primitive_execute(primitive_.get(), stream.get(),
                                             static_cast<int>(arguments_.size()), arguments_.data());
  if (status != dnnl_success)
    throw InternalError("oneDNN: execution failed (status {})", static_cast<int>(status));
}

}  // namespace scrawl::cpu
