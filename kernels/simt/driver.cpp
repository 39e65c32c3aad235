#include "kernels/simt/driver.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>

namespace scrawl::simt {

namespace {

constexpr std::size_t most_argument_bytes = 4096;  // of a kernel, as on GPUs

thread_local bool calls_host_function = false;

std::size_t third_of_memory() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) /
         3;
}

/// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): seeds that differ in little give draws that do not.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t number) {
  auto z = seed + number * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

cudaError_t error_of(Fault fault) {
  switch (fault) {
    case Fault::bounds:
      return cudaErrorIllegalAddress;
    case Fault::alignment:
      return cudaErrorMisalignedAddress;
    default:
      return cudaErrorLaunchFailure;
  }
}

/// A launch that waits: a Grid and what it borrows.
struct Launch {
  struct alignas(128) Line {  // no kernel's argument is aligned to more
    std::byte bytes[128];
  };

  explicit Launch(const Grid& asked)
      : kernel(asked.kernel), lines((asked.call.size() + sizeof(Line) - 1) / sizeof(Line)), grid(asked) {
    if (!asked.call.empty()) std::memcpy(lines.data(), asked.call.data(), asked.call.size());
    grid.kernel = kernel;
    grid.call = std::as_bytes(std::span(lines)).first(asked.call.size());
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  std::string kernel;
  std::vector<Line> lines;
  Grid grid;
};

}  // namespace

Driver::Driver(Machine& machine) : machine_(machine) { control({}); }

void Driver::reset() {
  backlog_.drop();
  for (const auto& [start, bytes] : allocations_) machine_.memory().release(const_cast<std::byte*>(start));
  for (const auto& [start, bytes] : host_allocations_) std::free(start);
  allocations_.clear();
  host_allocations_.clear();
  used_ = 0;
  streams_.clear();
  events_.clear();
  graphs_.clear();
  executables_.clear();
  captures_.clear();
  broken_ = last_error_ = cudaSuccess;
  words_.clear();
}

void Driver::control(const Controls& controls) {
  reset();
  controls_ = controls;
  if (controls_.capacity == 0) controls_.capacity = third_of_memory();
  backlog_ = Backlog(controls.schedule.seed);
  launches_ = 0;
}

Live Driver::live() const {
  return {.allocations = allocations_.size(),
          .bytes = used_,
          .host_allocations = host_allocations_.size(),
          .streams = streams_.size(),
          .events = events_.size(),
          .graphs = graphs_.size(),
          .executable_graphs = executables_.size()};
}

cudaError_t Driver::unusable() const {
  if (controls_.driver_version / 1000 < runtime_version / 1000) return cudaErrorInsufficientDriver;
  return controls_.devices < 1 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t Driver::attribute(int* value, cudaDeviceAttr attribute, int device) const {
  if (device < 0 || device >= controls_.devices) return cudaErrorInvalidDevice;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = controls_.multiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = controls_.compute_capability;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(Grid::most_shared_bytes);
      return cudaSuccess;
  }
  return cudaErrorInvalidValue;
}

cudaError_t Driver::properties(cudaDeviceProp* properties, int device) const {
  *properties = {.name = "simt", .totalGlobalMem = controls_.capacity};
  if (const auto error = attribute(&properties->major, cudaDevAttrComputeCapabilityMajor, device))
    return error;
  attribute(&properties->minor, cudaDevAttrComputeCapabilityMinor, device);
  return attribute(&properties->multiProcessorCount, cudaDevAttrMultiProcessorCount, device);
}

/// Nothing runs on it any more.
void Driver::break_device(cudaError_t error, std::string words) {
  broken_ = error;
  words_ = std::move(words);
  backlog_.drop();
}

cudaError_t Driver::synchronize() {
  for (auto& [id, capture] : captures_) capture.invalidated = true;
  if (!captures_.empty())
    return refuse(cudaErrorStreamCaptureUnsupported, "the device is synchronised during a capture");
  backlog_.finish_all();
  return cudaSuccess;
}

// ------------------------------------------------------------------------------------------------- memory

cudaError_t Driver::memory_info(std::size_t* free, std::size_t* total) const {
  *total = controls_.capacity;
  *free = controls_.capacity - used_;
  return cudaSuccess;
}

cudaError_t Driver::allocate(void** memory, std::size_t bytes) {
  if (!memory) return cudaErrorInvalidValue;
  *memory = nullptr;
  if (const auto error = disturb_captures()) return error;
  if (bytes == 0) return cudaSuccess;
  auto* const start = bytes <= controls_.capacity - used_ ? machine_.memory().allocate(bytes) : nullptr;
  if (!start)
    return refuse(cudaErrorMemoryAllocation, "{} bytes asked for, {} of {} are free", bytes,
                  controls_.capacity - used_, controls_.capacity);
  allocations_[start] = bytes;
  used_ += bytes;
  *memory = start;
  return cudaSuccess;
}

cudaError_t Driver::release(void* memory) {
  if (const auto error = disturb_captures()) return error;
  if (!memory) return cudaSuccess;
  const auto found = allocations_.find(static_cast<const std::byte*>(memory));
  if (found == allocations_.end())
    return refuse(cudaErrorInvalidValue, "{}: no allocation starts there", memory);
  backlog_.finish_all();
  if (broken_) return broken_;
  machine_.memory().release(static_cast<std::byte*>(memory));
  used_ -= found->second;
  allocations_.erase(found);
  return cudaSuccess;
}

cudaError_t Driver::allocate_host(void** memory, std::size_t bytes) {
  constexpr std::size_t alignment = 4096;
  if (!memory) return cudaErrorInvalidValue;
  *memory = nullptr;
  if (const auto error = disturb_captures()) return error;
  if (bytes == 0) return cudaSuccess;
  *memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!*memory) return cudaErrorMemoryAllocation;
  host_allocations_[*memory] = bytes;
  return cudaSuccess;
}

cudaError_t Driver::release_host(void* memory) {
  if (const auto error = disturb_captures()) return error;
  if (!memory) return cudaSuccess;
  if (!host_allocations_.contains(memory))
    return refuse(cudaErrorInvalidValue, "{}: no pinned memory starts there", memory);
  backlog_.finish_all();
  if (broken_) return broken_;
  host_allocations_.erase(memory);
  std::free(memory);
  return cudaSuccess;
}

bool Driver::is_allocated(const void* memory, std::size_t bytes) const {
  const auto* const begin = static_cast<const std::byte*>(memory);
  const auto after = allocations_.upper_bound(begin);
  if (after == allocations_.begin()) return false;
  const auto& [start, size] = *std::prev(after);
  const auto offset = static_cast<std::size_t>(begin - start);
  return offset <= size && bytes <= size - offset;
}

cudaError_t Driver::check_side(const char* what, const void* memory, std::size_t bytes, Side side) {
  const bool is_ours = machine_.memory().holds(memory);
  if (is_ours != (side == Side::device))
    return refuse(cudaErrorInvalidValue, "{} {}: expected memory of the {}", what, memory,
                  side == Side::device ? "device" : "host");
  if (is_ours && !is_allocated(memory, bytes))
    return refuse(cudaErrorInvalidValue, "{} {}: {} bytes there are not all of one allocation", what, memory,
                  bytes);
  return cudaSuccess;
}

bool Driver::is_still_allocated(const char* what, const void* memory, std::size_t bytes) {
  if (!machine_.memory().holds(memory) || is_allocated(memory, bytes)) return true;
  break_device(cudaErrorIllegalAddress,
               fmt::format("{} {}: {} bytes there were released before it ran", what, memory, bytes));
  return false;
}

// --------------------------------------------------------------------------------------------------- work

cudaError_t Driver::copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                         cudaStream_t stream) {
  auto& memory = machine_.memory();
  const auto side_of = [&](const void* address) { return memory.holds(address) ? Side::device : Side::host; };
  Side target = side_of(to), source = side_of(from);
  if (kind != cudaMemcpyDefault) {
    target = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ? Side::device : Side::host;
    source = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ? Side::device : Side::host;
  }
  if (bytes > 0) {
    if (const auto error = check_side("copy to", to, bytes, target)) return error;
    if (const auto error = check_side("copy from", from, bytes, source)) return error;
  }
  return enqueue(stream, [=, this, &memory] {
    if (bytes == 0 || !is_still_allocated("copy to", to, bytes) ||
        !is_still_allocated("copy from", from, bytes))
      return;
    std::memmove(to, from, bytes);
    if (target == Side::device && source == Side::device)
      std::memmove(memory.states(to), memory.states(from), bytes * sizeof(State));
    else if (target == Side::device)
      memory.define(static_cast<const std::byte*>(to), bytes);
  });
}

cudaError_t Driver::set(void* to, int byte, std::size_t bytes, cudaStream_t stream) {
  if (bytes > 0)
    if (const auto error = check_side("memset of", to, bytes, Side::device)) return error;
  return enqueue(stream, [=, this] {
    if (bytes == 0 || !is_still_allocated("memset of", to, bytes)) return;
    std::memset(to, byte, bytes);
    machine_.memory().define(static_cast<const std::byte*>(to), bytes);
  });
}

cudaError_t Driver::launch(const Grid& grid, cudaStream_t stream) {
  if (const auto wrong = grid.refusal(); !wrong.empty())
    return refuse(cudaErrorInvalidConfiguration, "{}: {}", grid.kernel, wrong);
  if (grid.call.size() > most_argument_bytes)
    return refuse(cudaErrorInvalidValue, "{}: expected at most {} bytes of arguments, got {}", grid.kernel,
                  most_argument_bytes, grid.call.size());
  const auto blocks = std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z;
  if (grid.residency == Residency::together && blocks > static_cast<std::uint64_t>(controls_.multiprocessors))
    return refuse(cudaErrorCooperativeLaunchTooLarge,
                  "{}: expected at most {} blocks together, one a multiprocessor, got {}", grid.kernel,
                  controls_.multiprocessors, blocks);
  return enqueue(stream, [this, launch = std::make_shared<const Launch>(grid)] {
    auto schedule = controls_.schedule;
    schedule.seed = mixed(schedule.seed, ++launches_);
    try {
      if (const auto report = machine_.run(launch->grid, schedule))
        break_device(error_of(report->fault), fmt::format("{}, launch {} under seed {}", report->message,
                                                          launches_, controls_.schedule.seed));
    } catch (const std::exception& error) {
      break_device(cudaErrorLaunchOutOfResources, fmt::format("{}: {}", launch->kernel, error.what()));
    }
  });
}

bool Driver::in_host_function() { return calls_host_function; }

cudaError_t Driver::call_host(cudaHostFn_t function, void* data, cudaStream_t stream) {
  if (!function) return cudaErrorInvalidValue;
  return enqueue(stream, [=] {
    calls_host_function = true;
    function(data);
    calls_host_function = false;
  });
}

}  // namespace scrawl::simt
