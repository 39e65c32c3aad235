#pragma once
/// The part of the CUDA runtime API that scrawl uses, on the machine: the same names and numbers, so that one
/// source compiles against either. Streams are late and, where nothing orders them, in no order.
///
/// - Nothing that is queued runs at its call. It runs when the host waits for it or, by a draw of
///   Controls::schedule.seed, during any later call. Host memory is read and written then, not at the call:
///   all of it counts as pinned.
/// - One device, number 0. The default stream is refused (cudaErrorInvalidResourceHandle).
/// - What the machine reports on a kernel breaks the device: every later call gives the same error, until
///   cudaDeviceReset.
/// - Handles are never given out twice: the use of one that is gone is cudaErrorInvalidResourceHandle.
/// - Calls that a capture forbids invalidate it, as CUDA's do. Graph launches are not captured.
/// - All of it may be called from any thread; host functions may call none of it (cudaErrorNotPermitted).

#include <cstddef>
#include <cstdint>
#include <string>

namespace scrawl::simt {

struct Grid;

// clang-format off
enum cudaError_t : int {
  cudaSuccess                        = 0,
  cudaErrorInvalidValue              = 1,
  cudaErrorMemoryAllocation          = 2,
  cudaErrorInvalidConfiguration      = 9,
  cudaErrorInsufficientDriver        = 35,
  cudaErrorNoDevice                  = 100,
  cudaErrorInvalidDevice             = 101,
  cudaErrorInvalidResourceHandle     = 400,
  cudaErrorIllegalState              = 401,
  cudaErrorNotReady                  = 600,
  cudaErrorIllegalAddress            = 700,
  cudaErrorLaunchOutOfResources      = 701,
  cudaErrorMisalignedAddress         = 716,
  cudaErrorLaunchFailure             = 719,
  cudaErrorCooperativeLaunchTooLarge = 720,
  cudaErrorNotPermitted              = 800,
  cudaErrorNotSupported              = 801,
  cudaErrorStreamCaptureUnsupported  = 900,
  cudaErrorStreamCaptureInvalidated  = 901,
  cudaErrorStreamCaptureMerge        = 902,
  cudaErrorStreamCaptureUnmatched    = 903,
  cudaErrorStreamCaptureUnjoined     = 904,
  cudaErrorStreamCaptureIsolation    = 905,
  cudaErrorCapturedEvent             = 907,
  cudaErrorUnknown                   = 999,
};

enum cudaMemcpyKind : int {
  cudaMemcpyHostToHost = 0, cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3, cudaMemcpyDefault = 4,
};
enum cudaStreamCaptureMode : int {
  cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeThreadLocal = 1, cudaStreamCaptureModeRelaxed = 2,
};
enum cudaStreamCaptureStatus : int {
  cudaStreamCaptureStatusNone = 0, cudaStreamCaptureStatusActive = 1, cudaStreamCaptureStatusInvalidated = 2,
};
enum cudaDeviceAttr : int {
  cudaDevAttrMultiProcessorCount = 16, cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76, cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
// clang-format on

inline constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;

// Opaque: never defined.
using cudaStream_t = struct StreamHandle*;
using cudaEvent_t = struct EventHandle*;
using cudaGraph_t = struct GraphHandle*;
using cudaGraphExec_t = struct GraphExecHandle*;
using cudaHostFn_t = void (*)(void* data);

struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};

// The device.

cudaError_t cudaDriverGetVersion(int* version);   ///< 0: no driver
cudaError_t cudaRuntimeGetVersion(int* version);  ///< 13000: 13.0
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaDeviceSynchronize();
/// Drops what is queued and frees everything, the pinned host memory too.
cudaError_t cudaDeviceReset();

// Errors. Those of all threads are one, not each thread's own.

cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorName(cudaError_t);
const char* cudaGetErrorString(cudaError_t);
/// Why the last call that failed did, where there are words for it; the machine's report if the device is
/// broken. Not CUDA's.
std::string last_report();

// Memory.

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaMalloc(void** memory, std::size_t bytes);  ///< undefined and NaN; 256-byte aligned
cudaError_t cudaFree(void* memory);                        ///< after all that is queued
cudaError_t cudaMallocHost(void** memory, std::size_t bytes, unsigned flags = 0);
cudaError_t cudaFreeHost(void* memory);  ///< after all that is queued
/// Undefined bytes stay undefined from device to device, and are defined from the host.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void* memory, int byte, std::size_t bytes, cudaStream_t);

// Streams and events.

cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t);  ///< what is queued there still runs
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t, void* data);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventQuery(cudaEvent_t);
/// Time means nothing here: a millisecond for each piece of work that ran between the two.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);

/// Queues a kernel. The name and the bytes of its arguments are copied.
/// cudaErrorInvalidConfiguration where a GPU would refuse the grid; cudaErrorCooperativeLaunchTooLarge for
/// more blocks together than multiprocessors.
cudaError_t launch(const Grid&, cudaStream_t);

// Graphs.

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);  ///< global or relaxed
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);  ///< after the graph's launch before it, too
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);

}  // namespace scrawl::simt
