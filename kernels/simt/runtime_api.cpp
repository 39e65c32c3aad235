#include "kernels/simt/runtime_api.h"

#include <algorithm>
#include <iterator>

#include "kernels/simt/runtime.h"

namespace scrawl::simt {

// ------------------------------------------------------------------------------------------------ runtime

Runtime& runtime() {
  static Runtime the_one;
  return the_one;
}

void Runtime::control(const Controls& controls) {
  const std::lock_guard lock(mutex_);
  driver_.control(controls);
  machine_.forget_visits();
  machine_.forget_counted();
  calls_ = calls_to_failing_ = 0;
}

Live Runtime::live() const {
  const std::lock_guard lock(mutex_);
  return driver_.live();
}

std::uint64_t Runtime::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::string Runtime::last_report() const {
  const std::lock_guard lock(mutex_);
  return driver_.words();
}

Work Runtime::work() const {
  const std::lock_guard lock(mutex_);
  return machine_.work();
}

std::vector<Counted> Runtime::counted() const {
  const std::lock_guard lock(mutex_);
  return machine_.counted();
}

std::vector<Visits> Runtime::visits() const {
  const std::lock_guard lock(mutex_);
  return machine_.visits();
}

bool Runtime::is_to_fail(std::string_view function) {
  const auto& failure = driver_.controls().failure;
  ++calls_;
  if (failure.function.empty() || failure.function == function) ++calls_to_failing_;
  return failure.call > 0 && calls_to_failing_ == failure.call &&
         (failure.function.empty() || failure.function == function);
}

cudaError_t Runtime::call(std::string_view function, const std::function<cudaError_t(Driver&)>& body,
                          Needs needs) {
  if (Driver::in_host_function()) return cudaErrorNotPermitted;
  const std::lock_guard lock(mutex_);
  const auto result = [&] {
    if (!driver_.broken()) driver_.forget_words();
    if (is_to_fail(function)) return driver_.controls().failure.error;
    if (needs == Needs::nothing) return body(driver_);
    if (const auto error = driver_.unusable()) return error;
    if (!driver_.broken()) driver_.run_some();
    if (driver_.broken()) return driver_.broken();
    const auto error = body(driver_);
    return driver_.broken() ? driver_.broken() : error;
  }();
  driver_.note(result);
  return result;
}

cudaError_t Runtime::last_error(Then then) {
  if (Driver::in_host_function()) return cudaErrorNotPermitted;
  const std::lock_guard lock(mutex_);
  const auto error = driver_.last_error();
  if (then == Then::forget) driver_.forget_error();
  return error;
}

namespace {

struct Error {
  cudaError_t error;
  const char *name, *text;
};

// clang-format off
constexpr Error errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge", "too many blocks in cooperative launch"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};
// clang-format on

const Error* find(cudaError_t error) {
  const auto* const found = std::ranges::find(errors, error, &Error::error);
  return found == std::end(errors) ? nullptr : found;
}

template <class F>
cudaError_t call(std::string_view function, const F& body, Runtime::Needs needs = Runtime::Needs::device) {
  return runtime().call(function, body, needs);
}

}  // namespace

// ----------------------------------------------------------------------------------------- device, errors

cudaError_t cudaDriverGetVersion(int* version) {
  return call(
      __func__,
      [=](Driver& driver) {
        *version = driver.controls().driver_version;
        return cudaSuccess;
      },
      Runtime::Needs::nothing);
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call(
      __func__,
      [=](Driver&) {
        *version = Driver::runtime_version;
        return cudaSuccess;
      },
      Runtime::Needs::nothing);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return call(__func__, [=](Driver& driver) {
    *count = driver.controls().devices;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call(__func__, [=](Driver& driver) {
    return device < 0 || device >= driver.controls().devices ? cudaErrorInvalidDevice : cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call(__func__, [=](Driver& driver) { return driver.attribute(value, attribute, device); });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call(__func__, [=](Driver& driver) { return driver.properties(properties, device); });
}

cudaError_t cudaDeviceSynchronize() {
  return call(__func__, [](Driver& driver) { return driver.synchronize(); });
}

cudaError_t cudaDeviceReset() {
  return call(
      __func__,
      [](Driver& driver) {
        driver.reset();
        return cudaSuccess;
      },
      Runtime::Needs::nothing);
}

std::string last_report() { return runtime().last_report(); }

cudaError_t cudaGetLastError() { return runtime().last_error(Runtime::Then::forget); }
cudaError_t cudaPeekAtLastError() { return runtime().last_error(Runtime::Then::keep); }

const char* cudaGetErrorName(cudaError_t error) {
  const auto* const found = find(error);
  return found ? found->name : "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  const auto* const found = find(error);
  return found ? found->text : "unrecognized error code";
}

// ------------------------------------------------------------------------------------------------- memory

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call(__func__, [=](Driver& driver) { return driver.memory_info(free, total); });
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return call(__func__, [=](Driver& driver) { return driver.allocate(memory, bytes); });
}

cudaError_t cudaFree(void* memory) {
  return call(__func__, [=](Driver& driver) { return driver.release(memory); });
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes, unsigned) {
  return call(__func__, [=](Driver& driver) { return driver.allocate_host(memory, bytes); });
}

cudaError_t cudaFreeHost(void* memory) {
  return call(__func__, [=](Driver& driver) { return driver.release_host(memory); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.copy(to, from, bytes, kind, stream); });
}

cudaError_t cudaMemsetAsync(void* memory, int byte, std::size_t bytes, cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.set(memory, byte, bytes, stream); });
}

// ---------------------------------------------------------------------------------------- streams, events

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call(__func__, [=](Driver& driver) {
    return flags > cudaStreamNonBlocking ? cudaErrorInvalidValue : driver.create_stream(stream);
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.destroy_stream(stream); });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.synchronize_stream(stream); });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.query_stream(stream); });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call(__func__, [=](Driver& driver) { return driver.wait_event(stream, event); });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return call(__func__, [=](Driver& driver) { return driver.call_host(function, data, stream); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call(__func__, [=](Driver& driver) { return driver.create_event(event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call(__func__, [=](Driver& driver) { return driver.destroy_event(event); });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.record_event(event, stream); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call(__func__, [=](Driver& driver) { return driver.synchronize_event(event); });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call(__func__, [=](Driver& driver) { return driver.query_event(event); });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return call(__func__, [=](Driver& driver) { return driver.elapsed_time(milliseconds, from, to); });
}

cudaError_t launch(const Grid& grid, cudaStream_t stream) {
  return call(__func__, [&](Driver& driver) { return driver.launch(grid, stream); });
}

// ------------------------------------------------------------------------------------------------- graphs

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call(__func__, [=](Driver& driver) { return driver.begin_capture(stream, mode); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call(__func__, [=](Driver& driver) { return driver.end_capture(stream, graph); });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call(__func__, [=](Driver& driver) { return driver.is_capturing(stream, status); });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return call(__func__, [=](Driver& driver) { return driver.instantiate(executable, graph); });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call(__func__, [=](Driver& driver) { return driver.launch_graph(executable, stream); });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call(__func__, [=](Driver& driver) { return driver.destroy_executable(executable); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call(__func__, [=](Driver& driver) { return driver.destroy_graph(graph); });
}

}  // namespace scrawl::simt
