#pragma once
/// oneDNN behind the contracts: placements as its memory descriptors, and primitives that run on memory which
/// the caller owns. The only place that knows how a Layout looks.

#include <initializer_list>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/activation.h"
#include "kernels/plan.h"

namespace scrawl {

/// Where each element lies, in oneDNN's terms, whatever its type: `desc` is held as f32.
struct Layout {
  dnnl::memory::desc desc;
};

}  // namespace scrawl

namespace scrawl::cpu {

const dnnl::engine& engine();

/// Whether products of this type are faster than products of widened values: f32, and bf16 with AMX. Without
/// AMX vdpbf16ps issues every other cycle (Sapphire and Emerald Rapids), at half the products of f32 FMAs.
bool computes_in(DType);

/// Throws InternalError for a type that oneDNN does not have.
dnnl::memory::data_type onednn_type(DType);

dnnl::memory::dims onednn_dims(const Shape&);

/// The view's placement, strided or opaque. A layout of grouped weights has one axis more than the view.
dnnl::memory::desc descriptor(const View&);

/// The view's shape and type with the placement left for a primitive to choose.
dnnl::memory::desc any_placement(const View&);

/// Gives the view the placement that a primitive chose: strides where they can say it, else a layout.
void place(View&, const dnnl::memory::desc&);

/// oneDNN and our own loops take their number of threads from OpenMP: this sets it for the calling thread
/// while it lives. Does nothing without OpenMP.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Attributes that every primitive here has: scratchpad from the caller, an optional activation at the end.
dnnl::primitive_attr attributes(Activation = Activation::none);

/// A primitive and the memory objects of its operands, made once, so that running it allocates nothing.
/// One thread at a time may run it.
class Primitive {
 public:
  struct Operand {
    int argument;  ///< DNNL_ARG_*
    dnnl::memory::desc desc;
  };

  Primitive(dnnl::primitive, const dnnl::memory::desc& scratchpad, std::vector<Operand>, int threads);

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  /// `data` in the order of the operands. Throws InternalError if oneDNN fails.
  void run(std::initializer_list<void*> data, Bytes workspace);

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;  ///< the operands', then the scratchpad's
  std::vector<dnnl_exec_arg_t> arguments_;
  std::size_t workspace_bytes_;
  int threads_;
};

/// The primitive of a description that was made under as many threads, with attributes(). oneDNN's cache
/// tells primitives apart by the number of threads at this moment: under another one it returns a primitive
/// that needs more scratchpad than the description says.
template <class Kind, class Description>
std::shared_ptr<Primitive> make_primitive(const Description& description,
                                          std::vector<Primitive::Operand> operands, int threads) {
  const ThreadScope scope(threads);
  return std::make_shared<Primitive>(Kind(description), description.scratchpad_desc(), std::move(operands),
                                     threads);
}

/// Calls `describe`, which makes a primitive descriptor, under `threads` threads. Throws Refused for what
/// oneDNN does not implement, and MemoryError or InternalError for its other failures.
template <class Describe>
auto describe_primitive(int threads, Describe&& describe) {
  const ThreadScope scope(threads);
  try {
    return describe();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) throw Refused("oneDNN does not implement it");
    if (error.status == dnnl_out_of_memory) throw MemoryError("oneDNN: out of memory: {}", error.what());
    throw InternalError("oneDNN: {} (status {})", error.what(), static_cast<int>(error.status));
  }
}

}  // namespace scrawl::cpu
