#include "kernels/cuda/vendor/cublaslt.h"

#include <algorithm>

#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/per_device.h"
#include "kernels/error.h"

namespace scrawl::cuda {

namespace {

/// What the library is asked for; it may take less.
constexpr std::uint64_t most_workspace = 32 << 20;
/// Of operands in memory that is planned. Others take algorithms for the alignment of one element.
constexpr std::uint32_t usual_alignment = 16;

cudaDataType_t cuda_type(DType type) {
  switch (type) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      throw Refused("cuBLASLt: needs f32, f16 or bf16, got {}", name_of(type));
  }
}

cublasComputeType_t compute_type(const Product::Problem& p) {
  const bool is_tf32 = p.a.type == DType::f32 && p.f32_products == F32Products::tf32;
  return is_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

cublasLtEpilogue_t epilogue(const Product::Problem& p) {
  const bool is_relu = p.activation == Activation::relu;
  if (p.bias == Product::Problem::Bias::none)
    return is_relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
  return is_relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
}

bool is_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % usual_alignment == 0;
}

}  // namespace

CublasLt::CublasLt(const LibraryNames& names) : library(names) {
  if (version() / 10000 != CUBLAS_VER_MAJOR)
    throw DeviceError("cuBLASLt: {}: expected version {}, got {}", library.path(), CUBLAS_VER_MAJOR,
                      version_text());
}

std::string CublasLt::version_text() const {
  const auto v = version();
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

void CublasLt::check(cublasStatus_t status, std::string_view what) const {
  if (status != CUBLAS_STATUS_SUCCESS) throw DeviceError("cuBLASLt: {}: {}", what, words_of(status));
}

const CublasLt& cublaslt() {
  static const Opened<CublasLt> opened;
  return opened.get();
}

LibraryReport cublaslt_report() {
  try {
    return {.name = "cuBLASLt", .version = cublaslt().version_text(), .path = cublaslt().library.path()};
  } catch (const DeviceError& error) {
    return {.name = "cuBLASLt", .unusable = error.what()};
  }
}

struct Product::Handle {
  Handle() {
    cublaslt().check(cublaslt().create(&raw), current_device() < 0 ? "no GPU: a handle" : "a handle");
  }
  ~Handle() { cublaslt().destroy(raw); }
  Handle(const Handle&) = delete;

  cublasLtHandle_t raw = nullptr;
};

/// What is done to the operands. The bias is part of it, so each run has its own.
struct Product::Operation {
  Operation(const Problem& p, const void* bias) {
    const auto& lt = cublaslt();
    lt.check(lt.create_product(&raw, compute_type(p), CUDA_R_32F), "a product");
    const auto first = p.transpose_b == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N,
               second = p.transpose_a == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, first);
    set(CUBLASLT_MATMUL_DESC_TRANSB, second);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(p));
    if (p.bias == Problem::Bias::added) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  ~Operation() { cublaslt().destroy_product(raw); }
  Operation(const Operation&) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    const auto& lt = cublaslt();
    lt.check(lt.set_product(raw, attribute, &value, sizeof(value)), "a product's attribute");
  }

  cublasLtMatmulDesc_t raw = nullptr;
};

void Product::EndLayout::operator()(cublasLtMatrixLayout_t layout) const {
  cublaslt().destroy_layout(layout);
}

/// Rows of row-major memory are columns of column-major memory; they may lie apart.
Product::Layout Product::layout(const View& x) {
  const auto& lt = cublaslt();
  cublasLtMatrixLayout_t made = nullptr;
  lt.check(lt.create_layout(&made, cuda_type(x.type), static_cast<std::uint64_t>(x.shape[1]),
                            static_cast<std::uint64_t>(x.shape[0]), x.strides[0]),
           "a layout");
  return Layout(made);
}

Product::Product(const Problem& problem)
    : handle_([] {
        static PerDevice<Handle> handles;
        return handles.get([] { return std::make_shared<Handle>(); });
      }()),
      problem_(problem),
      a_(layout(problem.a)),
      b_(layout(problem.b)),
      y_(layout(problem.y)) {
  // Where a bias is added no algorithm is found without an address for it.
  const Operation operation(problem, reinterpret_cast<const void*>(std::uintptr_t{usual_alignment}));
  aligned_ = algorithm(operation, usual_alignment);
  unaligned_ = algorithm(operation, static_cast<std::uint32_t>(size_of(problem.a.type)));
  if (!aligned_) throw Refused("cuBLASLt: no algorithm takes this product");
}

std::optional<cublasLtMatmulAlgo_t> Product::algorithm(const Operation& operation, std::uint32_t alignment) {
  const auto& lt = cublaslt();
  cublasLtMatmulPreference_t raw = nullptr;
  lt.check(lt.create_preference(&raw), "a preference");
  const auto end = [&](cublasLtMatmulPreference_t preference) { lt.destroy_preference(preference); };
  const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, decltype(end)> preference(raw, end);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    lt.check(lt.set_preference(raw, attribute, &value, sizeof(value)), "a preference's attribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
  // Parts of a sum stay f32 until they are added.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(operand, alignment);

  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  const auto status = lt.heuristic(handle_->raw, operation.raw, b_.get(), a_.get(), y_.get(), y_.get(), raw,
                                   1, &found, &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0)) return {};
  lt.check(status, "an algorithm is looked for");
  if (found.state != CUBLAS_STATUS_SUCCESS) return {};
  workspace_bytes_ = std::max(workspace_bytes_, found.workspaceSize);
  return found.algo;
}

void Product::run(const void* a, const void* b, const void* bias, void* y, Bytes workspace,
                  Stream stream) const {
  const bool has_usual = is_aligned(a) && is_aligned(b) && is_aligned(y) && is_aligned(bias);
  const auto& algorithm = has_usual ? aligned_ : unaligned_;
  if (!algorithm)
    throw DeviceError("cuBLASLt: no algorithm for operands that are not aligned to {} bytes",
                      usual_alignment);
  const auto& lt = cublaslt();
  const Operation operation(problem_, bias);
  constexpr float alpha = 1, beta = 0;
  lt.check(lt.multiply(handle_->raw, operation.raw, &alpha, b, b_.get(), a, a_.get(), &beta, y, y_.get(), y,
                       y_.get(), &*algorithm, workspace.data(), workspace_bytes_,
                       reinterpret_cast<cudaStream_t>(stream)),
           "a product is run");
}

}  // namespace scrawl::cuda
