/// Products by cuBLASLt. Its epilogues add a bias of y's type and know ReLU: where the contract's bias, which
/// is f32, or another activation meets a narrower y, products stay f32 in the workspace, and our own kernel
/// finishes them.

#include "kernels/cuda/matrix_product.h"
#include "kernels/cuda/sums.h"
#include "kernels/cuda/vendor/cublaslt.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

using Bias = Product::Problem::Bias;

/// Whether an epilogue does what follows the product.
bool is_fused(const MatrixProduct& o) {
  if (o.activation != Activation::none && o.activation != Activation::relu) return false;
  return !o.bias.present() || o.y.type == DType::f32;
}

template <class Call>
Plan<Call> plan(Call& call, const Selection& selection) {
  place(call);
  const auto o = operands_of(call);
  for (const auto& view : {o.a, o.b, o.y}) refuse_empty(view);
  const bool fused = is_fused(o);
  auto y = o.y;
  if (!fused) y.type = DType::f32;
  const auto product = std::make_shared<const Product>(
      Product::Problem{.a = o.a,
                       .b = o.b,
                       .transpose_a = o.transpose_a,
                       .transpose_b = o.transpose_b,
                       .y = y,
                       .bias = fused && o.bias.present() ? Bias::added : Bias::none,
                       .activation = fused ? o.activation : Activation::none,
                       .f32_products = selection.f32_products});
  const auto library_bytes = piece(product->workspace_bytes());
  auto bytes = library_bytes;
  if (!fused) bytes += static_cast<std::size_t>(y.shape.count()) * sizeof(float);
  if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
    if (call.db.present()) bytes += column_sums_bytes(o.k(), call.db.shape[0]);
  return {.workspace_bytes = bytes, .run = [=](const Call& c, Bytes workspace, Stream stream) {
            const auto p = operands_of(c);
            const auto behind = workspace.subspan(library_bytes);
            if (fused) {
              product->run(p.a.data, p.b.data, p.bias.data, p.y.data, workspace, stream);
            } else {
              product->run(p.a.data, p.b.data, nullptr, behind.data(), workspace, stream);
              finish_product(reinterpret_cast<float*>(behind.data()), p.bias, p.activation, p.y, stream);
            }
            if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
              if (c.db.present()) column_sums(p.a, p.k(), c.db, behind, stream);
          }};
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cublaslt", Origin::vendor, refusing<Call, plan<Call>>}};

}  // namespace

std::span<const Variant<Gemm>> vendor_variants(const Gemm&) { return variants<Gemm>; }
std::span<const Variant<DenseForward>> vendor_variants(const DenseForward&) { return variants<DenseForward>; }
std::span<const Variant<DenseBackwardData>> vendor_variants(const DenseBackwardData&) {
  return variants<DenseBackwardData>;
}
std::span<const Variant<DenseBackwardWeight>> vendor_variants(const DenseBackwardWeight&) {
  return variants<DenseBackwardWeight>;
}

}  // namespace scrawl::cuda
