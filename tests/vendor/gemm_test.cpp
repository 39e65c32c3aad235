/// Products by cuBLASLt, on a library that computes from the descriptors that it is given: a wrong layout is
/// a wrong number.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "kernels/cuda/vendor/cublaslt.h"
#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/variants.h"
#include "kernels/reference/backend.h"
#include "kernels/reference/tensor.h"

namespace scrawl::cuda {
namespace {

using reference::Tensor;
using testing::AllOf;
using testing::HasSubstr;

/// Small integers, exact in every type, in memory that starts `shift` elements behind an aligned address.
class Memory {
 public:
  Memory(DType type, const Shape& shape, std::size_t shift = 0)
      : bytes_(static_cast<std::size_t>(shape.count()) * size_of(type) + 128) {
    const auto start = reinterpret_cast<std::uintptr_t>(bytes_.data());
    view = make_view(bytes_.data() + (64 - start % 64) % 64 + shift * size_of(type), type, shape);
    static std::minstd_rand random(7);
    std::uniform_int_distribution<int> integer(-3, 3);
    Tensor values(shape);
    for (double& value : values.values()) value = integer(random);
    values.store(view);
  }
  View view;

 private:
  std::vector<std::byte> bytes_;
};

View without_data(View view) {
  view.data = nullptr;
  return view;
}

/// Plans the call without data, runs it, and expects of `y` what the reference makes of the same operands.
template <class Call>
void expect_as_reference(Planner<Call> Backend::*reference_planner, Call call, View Call::*y,
                         const Selection& selection = {}) {
  Call described = call;
  for (View Call::*const member : {y}) (described.*member).data = nullptr;
  const auto variants = vendor_variants(call);
  const auto plan = first_variant<Call>("product", variants, described, selection);
  EXPECT_EQ(plan.variant, "cublaslt");
  std::vector<std::byte> workspace(plan.workspace_bytes);
  plan.run(call, workspace, nullptr);
  const Tensor got(call.*y);

  Call expected = call;
  Memory result((call.*y).type, (call.*y).shape);
  expected.*y = result.view;
  const auto reference_plan = (reference::backend().*reference_planner)(expected, {});
  std::vector<std::byte> scratch(reference_plan.workspace_bytes);
  reference_plan.run(expected, scratch, nullptr);
  EXPECT_THAT(got.values(), testing::ElementsAreArray(Tensor(result.view).values()));
}

class Products : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("SCRAWL_CUBLASLT", SCRAWL_FAKE_CUBLASLT, 1); }
};

TEST_F(Products, of_row_major_matrices_are_right_whatever_is_transposed) {
  for (const auto type : {DType::f32, DType::bf16, DType::f16})
    for (const auto a : {Transpose::no, Transpose::yes})
      for (const auto b : {Transpose::no, Transpose::yes}) {
        const Memory x(type, a == Transpose::yes ? Shape{7, 5} : Shape{5, 7}),
            w(type, b == Transpose::yes ? Shape{3, 7} : Shape{7, 3}), y(type, {5, 3}),
            wide(DType::f32, {5, 3});
        for (const auto& result : {y.view, wide.view})
          expect_as_reference(&Backend::gemm,
                              Gemm{.transpose_a = a, .transpose_b = b, .a = x.view, .b = w.view, .y = result},
                              &Gemm::y);
      }
}

TEST_F(Products, of_rows_that_lie_apart_are_right) {
  const Memory wide(DType::bf16, {5, 9}), w(DType::bf16, {7, 3}), y(DType::bf16, {5, 3});
  View columns = wide.view;
  columns.shape = {5, 7};
  expect_as_reference(&Backend::gemm, Gemm{.a = columns, .b = w.view, .y = y.view}, &Gemm::y);
}

TEST_F(Products, add_a_bias_to_each_row_and_know_relu) {
  const Memory x(DType::f32, {2, 3, 7}), w(DType::f32, {4, 7}), b(DType::f32, {4}), y(DType::f32, {2, 3, 4});
  for (const auto activation : {Activation::none, Activation::relu})
    for (const auto& bias : {b.view, View{}})
      expect_as_reference(
          &Backend::dense_forward,
          DenseForward{.activation = activation, .x = x.view, .w = w.view, .b = bias, .y = y.view},
          &DenseForward::y);
}

TEST_F(Products, of_dense_layers_backward_are_right) {
  for (const auto type : {DType::f32, DType::bf16}) {
    const Memory dy(type, {2, 3, 4}), w(type, {4, 7}), x(type, {2, 3, 7}), dx(type, {2, 3, 7}),
        dw(DType::f32, {4, 7});
    expect_as_reference(&Backend::dense_backward_data,
                        DenseBackwardData{.dy = dy.view, .w = w.view, .dx = dx.view}, &DenseBackwardData::dx);
    expect_as_reference(&Backend::dense_backward_weight,
                        DenseBackwardWeight{.x = x.view, .dy = dy.view, .dw = dw.view},
                        &DenseBackwardWeight::dw);
  }
}

TEST_F(Products, of_operands_that_are_not_aligned_take_another_algorithm) {
  const Memory a(DType::bf16, {5, 7}, 1), b(DType::bf16, {7, 3}, 1), y(DType::bf16, {5, 3}, 1);
  expect_as_reference(&Backend::gemm, Gemm{.a = a.view, .b = b.view, .y = y.view}, &Gemm::y);
}

TEST_F(Products, of_f32_are_tf32_only_where_that_is_allowed) {
  alignas(64) float a = 1 + 0x1p-12f;
  alignas(64) float b = 1;
  alignas(64) float y = 0;
  const Shape one{1, 1};
  for (const auto products : {F32Products::exact, F32Products::tf32}) {
    Gemm call{.a = make_view(&a, DType::f32, one),
              .b = make_view(&b, DType::f32, one),
              .y = make_view(&y, DType::f32, one)};
    const auto plan = first_variant<Gemm>("gemm", vendor_variants(call), call, {.f32_products = products});
    std::vector<std::byte> workspace(plan.workspace_bytes);
    plan.run(call, workspace, nullptr);
    EXPECT_EQ(y, products == F32Products::tf32 ? 1 : a);
  }
}

TEST_F(Products, of_a_bias_wider_than_the_result_leave_it_to_our_own_kernel) {
  DenseForward call{.x = without_data(Memory(DType::bf16, {6, 7}).view),
                    .w = make_view(nullptr, DType::bf16, {4, 7}),
                    .b = make_view(nullptr, DType::f32, {4}),
                    .y = make_view(nullptr, DType::bf16, {6, 4})};
  const auto plan = first_variant<DenseForward>("dense", vendor_variants(call), call, {});
  EXPECT_GE(plan.workspace_bytes, 6 * 4 * sizeof(float)) << "products in f32";
}

TEST_F(Products, without_elements_are_refused) {
  Gemm call{.a = make_view(nullptr, DType::f32, {0, 7}),
            .b = make_view(nullptr, DType::f32, {7, 3}),
            .y = make_view(nullptr, DType::f32, {0, 3})};
  try {
    first_variant<Gemm>("gemm", vendor_variants(call), call, {});
    FAIL() << "nothing to multiply";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("cublaslt: needs elements, got f32 0x7"));
  }
}

TEST_F(Products, report_the_library) {
  const auto report = cublaslt_report();
  EXPECT_EQ(report.unusable, "");
  EXPECT_THAT(report.path, HasSubstr("fake_cublaslt"));
  EXPECT_EQ(report.version, fmt::format("{}.99.0", CUBLAS_VER_MAJOR));
}

TEST(CublasLtLibrary, of_another_major_version_is_refused) {
  setenv("SCRAWL_OLD_CUBLASLT", SCRAWL_OLD_CUBLASLT, 1);
  try {
    const CublasLt old({"cuBLASLt", "SCRAWL_OLD_CUBLASLT", {}, {}});
    FAIL() << "too old";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(fmt::format("expected version {}", CUBLAS_VER_MAJOR)),
                                    HasSubstr("got 11.0.0")));
  }
}

TEST(CublasLtLibrary, without_a_function_is_refused) {
  setenv("SCRAWL_EMPTY_CUBLASLT", SCRAWL_FAKE_LIBRARY, 1);
  try {
    const CublasLt empty({"cuBLASLt", "SCRAWL_EMPTY_CUBLASLT", {}, {}});
    FAIL() << "no functions";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("has no function cublasLtGetVersion"));
  }
}

}  // namespace
}  // namespace scrawl::cuda
