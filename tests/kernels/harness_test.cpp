/// The harness must catch what it is there to catch: the reference passes, each mutant of it fails.

#include "tests/kernels/harness.h"

#include <gmock/gmock.h>

namespace scrawl::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using BackwardData = Conv2dBackwardData;

BackwardData call() {
  return {.params = {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1},
          .dy = make_view(nullptr, DType::f32, {2, 5, 6, 7}),
          .w = make_view(nullptr, DType::f32, {5, 3, 3, 3}),
          .dx = make_view(nullptr, DType::f32, {2, 3, 6, 7})};
}

constexpr double terms = 5 * 3 * 3;
constexpr std::size_t workspace_bytes = 64;

/// The reference with a fault in backward_data: what the mutant does, to call and workspace, once it has run.
template <auto kFault>
Backend mutant() {
  Backend table = reference::backend();
  table.conv2d_backward_data = [](BackwardData& planned, const Selection& selection) {
    auto plan = reference::backend().conv2d_backward_data(planned, selection);
    plan.workspace_bytes = workspace_bytes;
    plan.run = [run = plan.run](const BackwardData& given, Bytes workspace, Stream stream) {
      run(given, workspace, stream);
      kFault(given, workspace);
    };
    return plan;
  };
  return table;
}

template <auto kFault>
std::vector<std::string> problems() {
  return agree(mutant<kFault>(), "mutant", call(), {}, sum_of_products(call(), terms)).problems;
}

TEST(harness, the_reference_in_f32_agrees_with_itself_in_double) {
  const auto report = agree(reference::backend(), "itself", call(), {}, sum_of_products(call(), terms));
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_GT(report.worst, 0);  // f32 rounds
  EXPECT_LT(report.worst, 1);
}

TEST(harness, a_flipped_sign_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes) {
                const Tensor dx(given.dx);
                Tensor flipped = dx;
                for (double& value : flipped.values()) value = -value;
                flipped.store(given.dx);
              }>(),
              Contains(HasSubstr("dx[0,0,0,0]: expected")));
}

TEST(harness, one_element_off_by_a_thousandth_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes) { given.dx.as<float>()[17] += 1e-3f; }>(),
              Not(IsEmpty()));
}

TEST(harness, an_element_that_is_not_written_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes) { given.dx.as<float>()[0] = NAN; }>(),
              Not(IsEmpty()));
}

TEST(harness, a_write_beyond_an_output_fails) {
  EXPECT_THAT(
      problems<[](const BackwardData& given, Bytes) { given.dx.as<float>()[given.dx.shape.count()] = 0; }>(),
      Contains(HasSubstr("writes outside of dx")));
}

TEST(harness, a_write_before_an_output_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes) { given.dx.as<float>()[-1] = 0; }>(),
              Contains(HasSubstr("writes outside of dx")));
}

TEST(harness, a_write_beyond_the_workspace_fails) {
  EXPECT_THAT(problems<[](const BackwardData&, Bytes workspace) {
                workspace.data()[workspace_bytes] = std::byte{0};
              }>(),
              Contains(HasSubstr("writes outside of its workspace")));
}

TEST(harness, a_write_to_an_input_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes) { given.w.as<float>()[3] += 1; }>(),
              Contains(HasSubstr("writes to its input w")));
}

TEST(harness, a_result_that_depends_on_fresh_workspace_fails) {
  EXPECT_THAT(problems<[](const BackwardData& given, Bytes workspace) {
                if (workspace[0] == std::byte{0x3c}) given.dx.as<float>()[5] *= 1 + 0x1p-23f;
              }>(),
              Contains(HasSubstr("does not repeat the bits of dx")));
}

TEST(harness, a_call_that_no_variant_takes_fails) {
  Backend table = reference::backend();
  table.conv2d_backward_data = [](BackwardData&, const Selection&) -> Plan<BackwardData> {
    throw Unsupported("conv2d_backward_data: no variant takes this call");
  };
  EXPECT_THAT(agree(table, "unsupported", call(), {}).problems, Contains(HasSubstr("no variant")));
}

TEST(tolerance, an_infinity_agrees_with_itself_alone) {
  const Tensor infinite(Shape{1}, INFINITY), minus(Shape{1}, -INFINITY), nan(Shape{1}, NAN),
      huge(Shape{1}, 1e300);
  const Tolerance loose{.ulps = 1e6};
  EXPECT_THAT(compare("y", infinite, infinite, DType::f32, loose).problem, IsEmpty());
  EXPECT_THAT(compare("y", nan, nan, DType::f32, loose).problem, IsEmpty());
  for (const auto* other : {&minus, &nan, &huge})
    EXPECT_THAT(compare("y", infinite, *other, DType::f32, loose).problem, Not(IsEmpty()));
  EXPECT_THAT(compare("y", nan, huge, DType::f32, loose).problem, Not(IsEmpty()));
}

TEST(tolerance, exact_means_rounded_once_to_the_storage_type) {
  const Tensor third(Shape{1}, 1.0 / 3);
  EXPECT_THAT(compare("y", third, rounded(third, DType::bf16), DType::bf16, {}).problem, IsEmpty());
  EXPECT_THAT(compare("y", third, third, DType::bf16, {}).problem, Not(IsEmpty()));
}

}  // namespace
}  // namespace scrawl::test
