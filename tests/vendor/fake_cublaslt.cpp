/// Stands in for cuBLASLt: computes by plain loops from the descriptors that it is given, in host memory, and
/// is as strict as the library about what it says of them.

#include <cublasLt.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "kernels/dtype.h"

namespace {

using scrawl::bf16;
using scrawl::f16;

struct Layout {
  cudaDataType_t type;
  std::int64_t rows, columns, leading;
};
struct Product {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t first = CUBLAS_OP_N, second = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;

  bool has_bias() const { return (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
  bool has_relu() const { return (epilogue & CUBLASLT_EPILOGUE_RELU) != 0; }
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK, alignment[4] = {256, 256, 256, 256};
};

constexpr std::size_t workspace_bytes = 4096;

Layout* of(cublasLtMatrixLayout_t x) { return reinterpret_cast<Layout*>(x); }
Product* of(cublasLtMatmulDesc_t x) { return reinterpret_cast<Product*>(x); }
Preference* of(cublasLtMatmulPreference_t x) { return reinterpret_cast<Preference*>(x); }

template <class T>
bool take(T& to, const void* from, std::size_t bytes) {
  if (bytes != sizeof(T)) return false;
  std::memcpy(&to, from, bytes);
  return true;
}
cublasStatus_t status(bool is_good) { return is_good ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE; }

/// An f32 without the bits of its mantissa that tf32 has not.
float cut_to_tf32(float value) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & ~std::uint32_t{(1 << 13) - 1});
}

double load(const void* data, const Layout& l, std::int64_t row, std::int64_t column) {
  const auto at = row + column * l.leading;
  switch (l.type) {
    case CUDA_R_16BF:
      return float(static_cast<const bf16*>(data)[at]);
    case CUDA_R_16F:
      return float(static_cast<const f16*>(data)[at]);
    default:
      return static_cast<const float*>(data)[at];
  }
}
void store(void* data, const Layout& l, std::int64_t row, std::int64_t column, float value) {
  const auto at = row + column * l.leading;
  switch (l.type) {
    case CUDA_R_16BF:
      static_cast<bf16*>(data)[at] = bf16(value);
      return;
    case CUDA_R_16F:
      static_cast<f16*>(data)[at] = f16(value);
      return;
    default:
      static_cast<float*>(data)[at] = value;
  }
}

/// Extents of op(a) op(b) = d.
bool fits(const Product& p, const Layout& a, const Layout& b, const Layout& d) {
  const bool ta = p.first == CUBLAS_OP_T, tb = p.second == CUBLAS_OP_T;
  const auto m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns, k_b = tb ? b.columns : b.rows,
             n = tb ? b.rows : b.columns;
  const bool leads = a.leading >= a.rows && b.leading >= b.rows && d.leading >= d.rows;
  return m == d.rows && n == d.columns && k == k_b && leads && a.type == b.type;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return FAKE_CUBLASLT_VERSION; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_INVALID_VALUE ? "fake: an invalid value" : "fake: something else";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Product{compute, scale});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  delete of(product);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t what, const void* value,
                                              size_t bytes) {
  auto& p = *of(product);
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return status(take(p.first, value, bytes));
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return status(take(p.second, value, bytes));
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return status(take(p.epilogue, value, bytes));
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return status(take(p.bias, value, bytes));
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete of(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete of(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void* value, size_t bytes) {
  auto& p = *of(preference);
  switch (what) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return status(take(p.workspace, value, bytes));
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return status(take(p.reductions, value, bytes));
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return status(take(p.alignment[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes));
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}

/// The algorithm remembers what it was found for: the alignment of operands, and how f32 is multiplied.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* found, int* count) {
  const auto& p = *of(product);
  const auto& wanted = *of(preference);
  *count = 0;
  if (!fits(p, *of(a), *of(b), *of(d)) || of(c)->type != of(d)->type) return CUBLAS_STATUS_INVALID_VALUE;
  if (p.has_bias() && (!p.bias || of(d)->type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (wanted.workspace < workspace_bytes || (wanted.reductions & CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE) != 0)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *found = {};
  found->algo.data[0] = wanted.alignment[0];
  found->algo.data[1] = static_cast<std::uint64_t>(p.compute);
  found->workspaceSize = workspace_bytes;
  found->state = CUBLAS_STATUS_SUCCESS;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void*,
                              cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t bytes,
                              cudaStream_t) {
  const auto& p = *of(product);
  const auto &la = *of(a_layout), &lb = *of(b_layout), &ld = *of(d_layout);
  if (!fits(p, la, lb, ld) || p.scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes < workspace_bytes || !workspace) return CUBLAS_STATUS_INVALID_VALUE;
  std::memset(workspace, 0xff, workspace_bytes);
  for (const void* const operand : {a, b, static_cast<const void*>(d)})
    if (reinterpret_cast<std::uintptr_t>(operand) % algorithm->data[0] != 0)
      return CUBLAS_STATUS_INVALID_VALUE;
  if (algorithm->data[1] != static_cast<std::uint64_t>(p.compute)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool ta = p.first == CUBLAS_OP_T, tb = p.second == CUBLAS_OP_T;
  const auto factor = [&](double value) {
    return p.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? cut_to_tf32(static_cast<float>(value)) : value;
  };
  const auto depth = ta ? la.rows : la.columns;
  for (std::int64_t column = 0; column < ld.columns; ++column)
    for (std::int64_t row = 0; row < ld.rows; ++row) {
      double sum = p.has_bias() ? p.bias[row] : 0;
      for (std::int64_t k = 0; k < depth; ++k)
        sum += factor(load(a, la, ta ? k : row, ta ? row : k)) *
               factor(load(b, lb, tb ? column : k, tb ? k : column));
      if (p.has_relu() && sum < 0) sum = 0;
      store(d, ld, row, column, static_cast<float>(sum));
    }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
