#pragma once
/// cuDNN: its functions, its errors, and the handle of a GPU.

#include <cudnn.h>

#include <memory>
#include <mutex>
#include <source_location>
#include <string>

#include "kernels/cuda/vendor/library.h"
#include "kernels/view.h"

namespace scrawl::cuda {

/// The functions that are called here. Throws DeviceError where the library, one of these, or version 9 is
/// missing.
struct Cudnn {
  explicit Cudnn(const LibraryNames& = cudnn_names());

  SharedLibrary library;
  Function<decltype(cudnnGetVersion)> version{library, "cudnnGetVersion"};
  Function<decltype(cudnnGetErrorString)> name_of{library, "cudnnGetErrorString"};
  Function<decltype(cudnnGetLastErrorString)> last_error{library, "cudnnGetLastErrorString"};
  Function<decltype(cudnnCreate)> create{library, "cudnnCreate"};
  Function<decltype(cudnnDestroy)> destroy{library, "cudnnDestroy"};
  Function<decltype(cudnnSetStream)> set_stream{library, "cudnnSetStream"};

  // Graphs (graph.h).
  Function<decltype(cudnnBackendCreateDescriptor)> create_node{library, "cudnnBackendCreateDescriptor"};
  Function<decltype(cudnnBackendDestroyDescriptor)> destroy_node{library, "cudnnBackendDestroyDescriptor"};
  Function<decltype(cudnnBackendSetAttribute)> set_attribute{library, "cudnnBackendSetAttribute"};
  Function<decltype(cudnnBackendGetAttribute)> get_attribute{library, "cudnnBackendGetAttribute"};
  Function<decltype(cudnnBackendFinalize)> finalize{library, "cudnnBackendFinalize"};
  Function<decltype(cudnnBackendExecute)> execute{library, "cudnnBackendExecute"};

  // Tensors of everything else.
  Function<decltype(cudnnCreateTensorDescriptor)> create_tensor{library, "cudnnCreateTensorDescriptor"};
  Function<decltype(cudnnDestroyTensorDescriptor)> destroy_tensor{library, "cudnnDestroyTensorDescriptor"};
  Function<decltype(cudnnSetTensorNdDescriptor)> set_tensor{library, "cudnnSetTensorNdDescriptor"};
  Function<decltype(cudnnGetTensorNdDescriptor)> get_tensor{library, "cudnnGetTensorNdDescriptor"};

  // softmax.cpp
  Function<decltype(cudnnSoftmaxForward)> softmax_forward{library, "cudnnSoftmaxForward"};
  Function<decltype(cudnnSoftmaxBackward)> softmax_backward{library, "cudnnSoftmaxBackward"};

  // rnn.cpp
  Function<decltype(cudnnCreateRNNDescriptor)> create_rnn{library, "cudnnCreateRNNDescriptor"};
  Function<decltype(cudnnDestroyRNNDescriptor)> destroy_rnn{library, "cudnnDestroyRNNDescriptor"};
  Function<decltype(cudnnSetRNNDescriptor_v8)> set_rnn{library, "cudnnSetRNNDescriptor_v8"};
  Function<decltype(cudnnCreateRNNDataDescriptor)> create_rnn_data{library, "cudnnCreateRNNDataDescriptor"};
  Function<decltype(cudnnDestroyRNNDataDescriptor)> destroy_rnn_data{library,
                                                                     "cudnnDestroyRNNDataDescriptor"};
  Function<decltype(cudnnSetRNNDataDescriptor)> set_rnn_data{library, "cudnnSetRNNDataDescriptor"};
  Function<decltype(cudnnGetRNNTempSpaceSizes)> rnn_spaces{library, "cudnnGetRNNTempSpaceSizes"};
  Function<decltype(cudnnGetRNNWeightSpaceSize)> rnn_weight_bytes{library, "cudnnGetRNNWeightSpaceSize"};
  Function<decltype(cudnnGetRNNWeightParams)> rnn_weight{library, "cudnnGetRNNWeightParams"};
  Function<decltype(cudnnBuildRNNDynamic)> build_rnn{library, "cudnnBuildRNNDynamic"};
  Function<decltype(cudnnRNNForward)> rnn_forward{library, "cudnnRNNForward"};
  Function<decltype(cudnnRNNBackwardData_v8)> rnn_backward_data{library, "cudnnRNNBackwardData_v8"};
  Function<decltype(cudnnRNNBackwardWeights_v8)> rnn_backward_weight{library, "cudnnRNNBackwardWeights_v8"};

  // cudnn_ctc.cpp
  Function<decltype(cudnnCreateCTCLossDescriptor)> create_ctc{library, "cudnnCreateCTCLossDescriptor"};
  Function<decltype(cudnnDestroyCTCLossDescriptor)> destroy_ctc{library, "cudnnDestroyCTCLossDescriptor"};
  Function<decltype(cudnnSetCTCLossDescriptor_v9)> set_ctc{library, "cudnnSetCTCLossDescriptor_v9"};
  Function<decltype(cudnnGetCTCLossWorkspaceSize_v8)> ctc_workspace{library,
                                                                    "cudnnGetCTCLossWorkspaceSize_v8"};
  Function<decltype(cudnnCTCLoss_v8)> ctc_loss{library, "cudnnCTCLoss_v8"};

  /// Throws DeviceError with what was done, the status and cuDNN's own words.
  void check(cudnnStatus_t, std::string_view what,
             const std::source_location& = std::source_location::current()) const;
  std::string version_text() const;  ///< "9.19.0"
};

/// Opened by the first call. Throws DeviceError, the same at each call, where it cannot be used.
const Cudnn& cudnn();

/// A handle of a GPU. Plans share it and close it with the last of them.
class CudnnHandle {
 public:
  explicit CudnnHandle(const Cudnn&);
  ~CudnnHandle();
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;

  // One thread at a time has the handle.

  /// Returns f(handle), for planning.
  template <class F>
  auto plan(F&& f) {
    const std::lock_guard lock(mutex_);
    return f(handle_);
  }
  /// Calls f(handle), whose work goes to the stream.
  template <class F>
  void on(Stream stream, F&& f) {
    const std::lock_guard lock(mutex_);
    take(stream);
    f(handle_);
  }

 private:
  void take(Stream);

  const Cudnn& cudnn_;
  cudnnHandle_t handle_ = nullptr;
  std::mutex mutex_;
};

/// Of the current GPU. Throws DeviceError where there is none.
std::shared_ptr<CudnnHandle> cudnn_handle();

/// Throws Refused for a type that cuDNN's kernels here do not have.
cudnnDataType_t cudnn_type(DType);

}  // namespace scrawl::cuda
