#include "runtime/device/cuda.h"

#include <cstdio>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/device/runtime.h"
#include "runtime/device/ranges.h"

#ifdef SCRAWL_SIMT
#include <thread>

#include "kernels/simt/runtime.h"
#else
#include <cuda_profiler_api.h>

#include <fstream>
#include <iterator>

#include "kernels/cuda/vendor/libraries.h"
#include "runtime/device/driver_release.h"
#endif

namespace SCRAWL_CUDA {

namespace {

#ifdef SCRAWL_SIMT
constexpr std::string_view device_name = "simt";
#else
constexpr std::string_view device_name = "cuda";
#endif

constexpr int device = 0;             // CUDA_VISIBLE_DEVICES chooses which that is
constexpr int least_capability = 80;  // mma.sync in bf16, cp.async

/// "13.0"
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string description_of(cudaError_t error) {
  return fmt::format("{}: {}", cudaGetErrorName(error), cudaGetErrorString(error));
}

/// For destructors and where memory is given back.
void log_failure(cudaError_t error, std::string_view what) noexcept {
  if (error != cudaSuccess)
    std::fprintf(stderr, "%s: %s: %s\n", device_name.data(), what.data(), cudaGetErrorName(error));
}

int attribute(cudaDeviceAttr what) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, device), "attribute of the device");
  return value;
}

cudaDeviceProp properties_of(int which) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, which), "properties of the device");
  return properties;
}

std::vector<DeviceSummary::Gpu> gpus() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "number of GPUs");
  std::vector<DeviceSummary::Gpu> all;
  for (int i = 0; i < count; ++i) {
    const auto properties = properties_of(i);
    all.push_back({.name = properties.name,
                   .compute_capability = fmt::format("{}.{}", properties.major, properties.minor),
                   .memory_bytes = properties.totalGlobalMem,
                   .multiprocessors = properties.multiProcessorCount});
  }
  return all;
}

std::string hardware() {
  const auto properties = properties_of(device);
  auto text = fmt::format("{}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB", properties.name,
                          properties.major, properties.minor, properties.multiProcessorCount,
                          static_cast<double>(properties.totalGlobalMem) / (1 << 30));
#ifdef SCRAWL_SIMT
  text += fmt::format(", all of it on {} processors: kernels are checked, not fast",
                      std::max(1u, std::thread::hardware_concurrency()));
#endif
  return text;
}

std::string library_versions() {
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "version of the driver");
  check(cudaRuntimeGetVersion(&runtime), "version of the runtime");
#ifdef SCRAWL_SIMT
  return fmt::format("simt's CUDA runtime {}", version_text(runtime));
#else
  return fmt::format("CUDA runtime {}, driver for {}", version_text(runtime), version_text(driver));
#endif
}

/// With the driver's own number, which no result depends on.
std::string described_libraries() {
  auto text = library_versions();
#ifndef SCRAWL_SIMT
  std::ifstream file("/proc/driver/nvidia/version");
  const std::string versions(std::istreambuf_iterator<char>(file), {});
  if (const auto release = driver_release(versions); !release.empty())
    text += fmt::format(", driver {}", release);
#endif
  return text;
}

/// Whether the driver lets this runtime work, and has a device for it.
std::string missing_device() {
  int count = 0, driver = 0, runtime = 0;
  const auto error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    check(cudaDriverGetVersion(&driver), "version of the driver");
    check(cudaRuntimeGetVersion(&runtime), "version of the runtime");
    if (driver == 0) return "no NVIDIA driver is installed";
    return fmt::format("the NVIDIA driver is too old: expected one for CUDA {}, got one for {}",
                       version_text(runtime), version_text(driver));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
    return "no GPU is visible (CUDA_VISIBLE_DEVICES may hide it)";
  return error == cudaSuccess ? "" : description_of(error);
}

/// As `unusable`, or throws.
std::string find_fault() {
  if (auto why = missing_device(); !why.empty()) {
    cudaGetLastError();  // nobody else is to find it
    return why;
  }
  const int major = attribute(cudaDevAttrComputeCapabilityMajor);
  const int minor = attribute(cudaDevAttrComputeCapabilityMinor);
  if (10 * major + minor < least_capability)
    return fmt::format("expected a GPU of compute capability 8.0 or later, got {}.{}", major, minor);
  // The first call that needs the GPU itself: it may be in use by another process, or out of order.
  if (const auto error = cudaSetDevice(device); error != cudaSuccess) {
    cudaGetLastError();
    return description_of(error);
  }
  return "";
}

#ifndef SCRAWL_SIMT
/// Two events of a stream.
class EventStopwatch final : public Stopwatch {
 public:
  explicit EventStopwatch(cudaStream_t stream) : stream_(stream) {
    check(cudaEventCreate(&start_), "an event is made");
    if (const auto error = cudaEventCreate(&stop_); error != cudaSuccess) {
      log_failure(cudaEventDestroy(start_), "an event is given back");
      check(error, "an event is made");
    }
  }
  ~EventStopwatch() override {
    for (auto* const event : {start_, stop_}) log_failure(cudaEventDestroy(event), "an event is given back");
  }
  EventStopwatch(const EventStopwatch&) = delete;
  EventStopwatch& operator=(const EventStopwatch&) = delete;

  void start() override { check(cudaEventRecord(start_, stream_), "an event is recorded"); }
  double stop_us() override {
    float milliseconds = 0;
    check(cudaEventRecord(stop_, stream_), "an event is recorded");
    check(cudaEventSynchronize(stop_), "an event is waited for");
    check(cudaEventElapsedTime(&milliseconds, start_, stop_), "events are compared");
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
};
#endif

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const DeviceOptions& options)
      : selection_{.kernels = options.kernels,
                   .threads = 1,
                   .multiprocessors = attribute(cudaDevAttrMultiProcessorCount)} {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream is made");
#ifndef SCRAWL_SIMT
    name_stream(stream(), "scrawl");  // simt's are none of the driver's, whom a profiler asks
#endif
  }
  ~CudaDevice() override { log_failure(cudaStreamDestroy(stream_), "a stream is given back"); }
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  std::string name() const override { return std::string(device_name); }
  // Runs are resumed under equal libraries; another GPU is as good as another library.
  std::string libraries() const override {
    return fmt::format("{}, {}", library_versions(), properties_of(device).name);
  }
  const Backend& backend() const override { return SCRAWL_CUDA::backend(); }
  const Selection& selection() const override { return selection_; }
  void require(DType storage, F32Products) const override {
    if (storage != DType::f32 && storage != DType::bf16 && storage != DType::f16)
      throw DeviceError("{}: {}: expected f32, tf32, bf16 or f16", device_name, name_of(storage));
  }
  Stream stream() override { return reinterpret_cast<Stream>(stream_); }
  void synchronize() override { check(cudaStreamSynchronize(stream_), "the stream is waited for"); }
  std::unique_ptr<Stopwatch> stopwatch() override {
#ifdef SCRAWL_SIMT
    throw DeviceError("simt: counts have a meaning here, time has none");
#else
    return std::make_unique<EventStopwatch>(stream_);
#endif
  }
  std::unique_ptr<Marks> marks() override {
#ifdef SCRAWL_SIMT
    throw DeviceError("simt: counts have a meaning here, time has none");
#else
    return event_marks(stream());
#endif
  }
  WorkCounts work_counts() override {
    synchronize();
#ifdef SCRAWL_SIMT
    return {.launches = launches(), .lanes = runtime().work().lanes};
#else
    return {.launches = launches(), .lanes = std::nullopt};
#endif
  }
#ifndef SCRAWL_SIMT
  void start_profiler() override {
    synchronize();
    check(cudaProfilerStart(), "profilers are told to record");
  }
  void stop_profiler() override {
    synchronize();
    check(cudaProfilerStop(), "profilers are told to stop");
  }
#endif
  void upload(void* to, std::span<const std::byte> host) override {
    check(cudaMemcpyAsync(to, host.data(), host.size(), cudaMemcpyHostToDevice, stream_), "upload");
    synchronize();
  }
  void download(std::span<std::byte> host, const void* from) override {
    check(cudaMemcpyAsync(host.data(), from, host.size(), cudaMemcpyDeviceToHost, stream_), "download");
    synchronize();
  }

 private:
  std::byte* allocate(std::size_t bytes, Buffer::Contents contents) override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), fmt::format("{} bytes are allocated", bytes));
    if (contents == Buffer::Contents::undefined) return static_cast<std::byte*>(memory);
    try {
      check(cudaMemsetAsync(memory, 0, bytes, stream_), "memory is zeroed");
      synchronize();  // other streams may be the next to use it
    } catch (...) {
      release(static_cast<std::byte*>(memory), bytes);
      throw;
    }
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory, std::size_t) noexcept override {
    log_failure(cudaFree(memory), "memory is given back");
  }

  Selection selection_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

std::string unusable() try { return find_fault(); } catch (const Error& error) {
  return error.what();
}

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
#ifdef SCRAWL_SIMT
  if (options.kernels == KernelSet::vendor)
    throw UsageError("--kernels: expected auto or native on simt, which has no libraries, got vendor");
#endif
  if (const auto why = unusable(); !why.empty()) throw DeviceError("device {}: {}", device_name, why);
  return std::make_unique<CudaDevice>(options);
}

DeviceSummary summary() {
  DeviceSummary found{.name = std::string(device_name)};
  found.unusable = unusable();
  if (!found.unusable.empty()) return found;
  try {
    found.hardware = hardware();
    found.libraries = described_libraries();
    found.gpus = gpus();
  } catch (const Error& error) {
    found.unusable = error.what();
  }
  return found;
}

#ifndef SCRAWL_SIMT
std::vector<LibrarySummary> libraries() {
  std::vector<LibrarySummary> all;
  for (auto& [name, version, path, unusable] : vendor_libraries())
    all.push_back({.name = std::move(name),
                   .version = std::move(version),
                   .path = std::move(path),
                   .unusable = std::move(unusable)});
  return all;
}
#endif

}  // namespace SCRAWL_CUDA
