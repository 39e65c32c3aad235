#include "tests/kernels/target.h"

#ifdef SCRAWL_HAS_SIMT
#include "kernels/cuda/backend.h"
#include "kernels/error.h"
#include "kernels/simt/runtime.h"
#endif

namespace scrawl::test {

#ifdef SCRAWL_HAS_SIMT
simt::Schedule& simt_schedule() {
  static simt::Schedule schedule;
  return schedule;
}

namespace {

using namespace simt;

void require(cudaError_t error) {
  if (error != cudaSuccess) throw DeviceError("{}: {}", cudaGetErrorName(error), runtime().last_report());
}

class SimtTarget final : public Target {
 public:
  void begin(std::uint64_t number) override {
    auto schedule = simt_schedule();
    schedule.seed += number;
    runtime().control({.schedule = schedule});
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  std::byte* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    require(cudaMalloc(&memory, bytes));
    return static_cast<std::byte*>(memory);
  }
  void upload(std::byte* to, std::span<const std::byte> from) override {
    require(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_));
    require(cudaStreamSynchronize(stream_));
  }
  void download(Bytes to, const std::byte* from) override {
    require(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_));
    require(cudaStreamSynchronize(stream_));
  }
  Stream stream() override { return reinterpret_cast<Stream>(stream_); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace

Target* target_of(const Backend& backend) {
  static SimtTarget simt;
  return &backend == &simt::backend() ? &simt : nullptr;
}

std::vector<const Backend*> device_backends() { return {&simt::backend()}; }
#else
Target* target_of(const Backend&) { return nullptr; }

std::vector<const Backend*> device_backends() { return {}; }
#endif

}  // namespace scrawl::test
