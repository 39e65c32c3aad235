#include "tests/vendor/ctc_on_simt.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "tests/simt/on_device.h"

namespace scrawl::simt {

// ctc_labels.cu, compiled for simt.
void pack_labels(const CtcLoss&, const PackedLabels&, Stream);
void complete_losses(const CtcLoss&, Stream);

namespace {

/// Memory of simt in place of the host's.
class Copies {
 public:
  explicit Copies(const Schedule& schedule) {
    runtime().control({.schedule = schedule});
    stream_ = new_stream();
  }

  Stream stream() const { return reinterpret_cast<Stream>(stream_); }

  template <class T>
  T* of(T* host, std::size_t bytes) {
    void* device = nullptr;
    OK(cudaMalloc(&device, std::max<std::size_t>(bytes, 1)));
    OK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_));
    copies_.push_back({host, device, bytes});
    return static_cast<T*>(device);
  }
  void of(View& view) {
    if (view.present())
      view.data = of(view.data, static_cast<std::size_t>(view.shape.count()) * size_of(view.type));
  }
  CtcLoss of(CtcLoss call) {
    for (View* const view :
         {&call.x, &call.labels, &call.label_lengths, &call.input_lengths, &call.loss, &call.d_x})
      of(*view);
    return call;
  }

  /// Everything back to the host.
  std::string finish() {
    for (const auto& copy : copies_)
      cudaMemcpyAsync(copy.host, copy.device, copy.bytes, cudaMemcpyDeviceToHost, stream_);
    return cudaStreamSynchronize(stream_) == cudaSuccess ? "" : last_report();
  }

 private:
  struct Copy {
    void *host, *device;
    std::size_t bytes;
  };
  cudaStream_t stream_ = nullptr;
  std::vector<Copy> copies_;
};

}  // namespace

std::string pack_on_simt(const CtcLoss& host, const PackedLabels& packed, const Schedule& schedule) {
  Copies copies(schedule);
  const auto samples = host.labels.shape[0], symbols = std::max<std::int64_t>(host.labels.shape[1], 1);
  const auto integers = [&](std::int32_t* memory, std::int64_t count) {
    return copies.of(memory, static_cast<std::size_t>(count) * sizeof(std::int32_t));
  };
  pack_labels(copies.of(host),
              {.labels = integers(packed.labels, samples * symbols),
               .label_lengths = integers(packed.label_lengths, samples),
               .input_lengths = integers(packed.input_lengths, samples)},
              copies.stream());
  return copies.finish();
}

std::string complete_on_simt(const CtcLoss& host, const Schedule& schedule) {
  Copies copies(schedule);
  complete_losses(copies.of(host), copies.stream());
  return copies.finish();
}

}  // namespace scrawl::simt
