#include "runtime/device/described.h"

#include "kernels/cuda/backend.h"
#include "kernels/error.h"

namespace scrawl {

namespace {

#if SCRAWL_HAS_CUDA
const Backend& table() { return cuda::backend(); }
#elif SCRAWL_HAS_SIMT
const Backend& table() { return simt::backend(); }  // the same kernels' planners
#endif

#if SCRAWL_HAS_CUDA || SCRAWL_HAS_SIMT
class DescribedCuda final : public Device {
 public:
  explicit DescribedCuda(const DeviceOptions& options)
      : selection_{.kernels = options.kernels, .threads = 1, .multiprocessors = described_multiprocessors} {}

  std::string name() const override { return "cuda"; }
  std::string libraries() const override { return "of a GPU that is not here"; }
  const Backend& backend() const override { return table(); }
  const Selection& selection() const override { return selection_; }
  void require(DType, F32Products) const override {}
  Stream stream() override { refuse(); }
  void synchronize() override { refuse(); }
  void upload(void*, std::span<const std::byte>) override { refuse(); }
  void download(std::span<std::byte>, const void*) override { refuse(); }

 private:
  std::byte* allocate(std::size_t, Buffer::Contents) override { refuse(); }
  void release(std::byte*, std::size_t) noexcept override {}

  [[noreturn]] static void refuse() {
    throw DeviceError("device cuda: is described only: nothing runs on it");
  }

  Selection selection_;
};
#endif

}  // namespace

std::unique_ptr<Device> described_cuda([[maybe_unused]] const DeviceOptions& options) {
#if SCRAWL_HAS_CUDA || SCRAWL_HAS_SIMT
  return std::make_unique<DescribedCuda>(options);
#else
  return nullptr;
#endif
}

}  // namespace scrawl
