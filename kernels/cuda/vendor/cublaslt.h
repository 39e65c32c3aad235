#pragma once
/// cuBLASLt: its functions, and one product of matrices.

#include <cublasLt.h>

#include <memory>
#include <optional>

#include "kernels/cuda/vendor/library.h"
#include "kernels/gemm.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

/// The functions that are called here. Throws DeviceError where the library, one of these, or the headers'
/// major version is missing.
struct CublasLt {
  explicit CublasLt(const LibraryNames& = cublaslt_names(CUBLAS_VER_MAJOR));

  SharedLibrary library;
  Function<decltype(cublasLtGetVersion)> version{library, "cublasLtGetVersion"};
  Function<decltype(cublasLtGetStatusString)> words_of{library, "cublasLtGetStatusString"};
  Function<decltype(cublasLtCreate)> create{library, "cublasLtCreate"};
  Function<decltype(cublasLtDestroy)> destroy{library, "cublasLtDestroy"};
  Function<decltype(cublasLtMatmulDescCreate)> create_product{library, "cublasLtMatmulDescCreate"};
  Function<decltype(cublasLtMatmulDescDestroy)> destroy_product{library, "cublasLtMatmulDescDestroy"};
  Function<decltype(cublasLtMatmulDescSetAttribute)> set_product{library, "cublasLtMatmulDescSetAttribute"};
  Function<decltype(cublasLtMatrixLayoutCreate)> create_layout{library, "cublasLtMatrixLayoutCreate"};
  Function<decltype(cublasLtMatrixLayoutDestroy)> destroy_layout{library, "cublasLtMatrixLayoutDestroy"};
  Function<decltype(cublasLtMatmulPreferenceCreate)> create_preference{library,
                                                                       "cublasLtMatmulPreferenceCreate"};
  Function<decltype(cublasLtMatmulPreferenceDestroy)> destroy_preference{library,
                                                                         "cublasLtMatmulPreferenceDestroy"};
  Function<decltype(cublasLtMatmulPreferenceSetAttribute)> set_preference{
      library, "cublasLtMatmulPreferenceSetAttribute"};
  Function<decltype(cublasLtMatmulAlgoGetHeuristic)> heuristic{library, "cublasLtMatmulAlgoGetHeuristic"};
  Function<decltype(cublasLtMatmul)> multiply{library, "cublasLtMatmul"};

  /// Throws DeviceError with what was done and the status.
  void check(cublasStatus_t, std::string_view what) const;
  std::string version_text() const;  ///< "13.1.0"
};

/// Opened by the first call. Throws DeviceError, the same at each call, where it cannot be used.
const CublasLt& cublaslt();

/// y = f(op(a) op(b) + bias), row-major, as the library sees it: y^T = op(b)^T op(a)^T of column-major
/// matrices, whose rows are y's columns.
class Product {
 public:
  /// Activation: none or relu. The bias has y's type.
  struct Problem {
    View a, b;
    Transpose transpose_a = Transpose::no, transpose_b = Transpose::no;
    View y;
    enum class Bias : std::uint8_t { none, added } bias = Bias::none;
    Activation activation = Activation::none;
    F32Products f32_products = F32Products::exact;
  };

  /// Throws Refused where the library has no algorithm, DeviceError where it has no GPU.
  explicit Product(const Problem&);

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// Throws DeviceError, for operands that are aligned to their elements only and that no algorithm takes
  /// also.
  void run(const void* a, const void* b, const void* bias, void* y, Bytes workspace, Stream) const;

 private:
  struct Handle;
  struct Operation;
  struct EndLayout {
    void operator()(cublasLtMatrixLayout_t) const;
  };
  using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, EndLayout>;

  static Layout layout(const View&);
  std::optional<cublasLtMatmulAlgo_t> algorithm(const Operation&, std::uint32_t alignment);

  std::shared_ptr<Handle> handle_;
  Problem problem_;
  Layout a_, b_, y_;
  std::optional<cublasLtMatmulAlgo_t> aligned_, unaligned_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace scrawl::cuda
