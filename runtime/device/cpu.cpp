#include "runtime/device/cpu.h"

#include <sched.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernels/cpu/backend.h"
#include "runtime/io/cpuinfo.h"

namespace scrawl::cpu {

namespace {

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

std::string processor_name() {
  const std::string name = cpuinfo("model name");
  return name.empty() ? "unknown processor" : name;
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(Selection selection) : selection_(selection) {}

  std::string name() const override { return "cpu"; }
  std::string libraries() const override { return cpu::libraries(); }
  const Backend& backend() const override { return cpu::backend(); }
  const Selection& selection() const override { return selection_; }
  void require(DType storage, F32Products products) const override {
    if (products != F32Products::exact)
      throw DeviceError("cpu: tf32: expected f32 or bf16; f32 runs here, its products exact");
    if (storage != DType::f32 && storage != DType::bf16)
      throw DeviceError("cpu: {}: expected f32 or bf16", name_of(storage));
    if (storage == DType::bf16 && !cpu::has_bf16())
      throw DeviceError("cpu: bf16: expected a processor with AVX-512 BF16, got {}; f32 runs here",
                        processor_name());
  }
  Stream stream() override { return nullptr; }
  void synchronize() override {}
  void upload(void* device, std::span<const std::byte> host) override {
    std::memcpy(device, host.data(), host.size());
  }
  void download(std::span<std::byte> host, const void* device) override {
    std::memcpy(host.data(), device, host.size());
  }

 private:
  // Anonymous mappings come zeroed and page-aligned; huge pages spare the TLB on large arenas.
  std::byte* allocate(std::size_t bytes, Buffer::Contents) override {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw MemoryError("cpu: cannot allocate {} bytes: {}", bytes, std::strerror(errno));
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    if (bytes >= huge_page) madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory, std::size_t bytes) noexcept override {
    if (munmap(memory, bytes) != 0) std::perror("cpu: munmap");
  }

  Selection selection_;
};

}  // namespace

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
  return std::make_unique<CpuDevice>(
      Selection{.kernels = options.kernels,
                .threads = options.threads ? options.threads : usable_processors(),
                .multiprocessors = 0});
}

DeviceSummary summary() {
  return {.name = "cpu",
          .hardware = fmt::format("{}, {} processors", processor_name(), usable_processors()),
          .libraries = libraries(),
          .unusable = ""};
}

}  // namespace scrawl::cpu
