/// What contracts promise before anything runs: output shapes, refusals and their words, full tables.

#include <algorithm>
#include <climits>

#include "kernels/check.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using testing::HasSubstr;

/// The message of the exception of type E that f throws.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

View f32(const Shape& shape) { return described(DType::f32, shape); }

TEST(conv2d_output, follows_stride_padding_and_dilation) {
  EXPECT_EQ(conv2d_output({}, {2, 3, 8, 9}, {5, 3, 3, 3}), (Shape{2, 5, 6, 7}));
  EXPECT_EQ(conv2d_output({.stride_h = 2, .pad_top = 1, .pad_bottom = 1, .dilation_w = 3}, {2, 4, 8, 9},
                          {6, 4, 3, 2}),
            (Shape{2, 6, 4, 6}));
  EXPECT_EQ(conv2d_output({.groups = 2}, {0, 4, 3, 3}, {6, 2, 3, 3}), (Shape{0, 6, 1, 1}));
}

TEST(conv2d_output, names_the_axis_on_which_a_window_does_not_fit) {
  EXPECT_EQ(message_of<ShapeError>([] {
              conv2d_output({}, {1, 1, 8, 2}, {1, 1, 3, 3});
            }),
            "conv2d: width: expected at least 3 pixels for the window, got 2 (padding included)");
  EXPECT_THAT(message_of<ShapeError>([] {
                conv2d_output({.dilation_h = 4}, {1, 1, 8, 8}, {1, 1, 3, 3});
              }),
              HasSubstr("height: expected at least 9"));
}

TEST(conv2d_output, refuses_channels_that_disagree) {
  EXPECT_THAT(message_of<ShapeError>([] {
                conv2d_output({}, {1, 3, 8, 8}, {4, 2, 3, 3});
              }),
              HasSubstr("w: expected 3 input channels a group, got 2"));
  EXPECT_THAT(message_of<ShapeError>([] {
                conv2d_output({.groups = 3}, {1, 4, 8, 8}, {6, 1, 3, 3});
              }),
              HasSubstr("expected a divisor of C = 4 and K = 6, got 3"));
}

TEST(conv2d_output, refuses_what_no_kernel_can_count) {
  EXPECT_THAT(message_of<ShapeError>([] {
                conv2d_output({}, {1, 0, 4, 4}, {2, 0, 3, 3});
              }),
              HasSubstr("expected at least one of x and of y, got C = 0 and K = 2"));
  EXPECT_THAT(message_of<ShapeError>([] {
                conv2d_output({}, {1, 3, 4, 4}, {0, 3, 3, 3});
              }),
              HasSubstr("got C = 3 and K = 0"));
  constexpr std::int64_t huge = std::int64_t{1} << 32;
  EXPECT_THAT(
      message_of<ShapeError>([&] {
        conv2d_output({.stride_h = huge}, {1, 1, 4, 4}, {1, 1, 3, 3});
      }),
      HasSubstr(
          "height: expected window, stride, dilation and padding up to 1073741824 pixels, got 4294967296"));
  EXPECT_THROW(conv2d_output({.pad_bottom = huge, .dilation_h = huge}, {1, 1, 1, 4}, {1, 1, 2, 1}),
               ShapeError);
}

TEST(pool_output, wants_padding_smaller_than_the_window) {
  EXPECT_EQ(pool_output({.window_h = 3, .stride_h = 2, .pad_h = 1}, {1, 2, 9, 7}), (Shape{1, 2, 5, 3}));
  EXPECT_THAT(message_of<ShapeError>([] {
                pool_output({.pad_w = 2}, {1, 2, 9, 7});
              }),
              HasSubstr("expected less than the window 2x2, got 0x2"));
}

TEST(pool_output, argmax_takes_a_byte_up_to_256_pixels) {
  EXPECT_EQ(argmax_type({.window_h = 16, .window_w = 16}), DType::u8);
  EXPECT_EQ(argmax_type({.window_h = 16, .window_w = 17}), DType::i32);
}

TEST(check, names_operation_operand_expected_and_got) {
  Conv2dForward call{.x = f32({2, 3, 8, 8}), .w = f32({4, 3, 3, 3}), .y = f32({2, 4, 6, 6})};
  EXPECT_NO_THROW(check(call));
  call.y = f32({2, 4, 6, 7});
  EXPECT_EQ(message_of<ShapeError>([&] { check(call); }),
            "conv2d_forward: y: expected f32 2x4x6x6, got f32 2x4x6x7");
  call.y = described(DType::bf16, {2, 4, 6, 6});
  EXPECT_EQ(message_of<ShapeError>([&] { check(call); }),
            "conv2d_forward: y: expected f32 2x4x6x6, got bf16 2x4x6x6");
  call.y = {};
  EXPECT_EQ(message_of<ShapeError>([&] { check(call); }),
            "conv2d_forward: y: expected f32 2x4x6x6, got nothing");
}

TEST(check, keeps_double_to_the_reference) {
  const auto x = described(DType::f64, {3, 4});
  const SoftmaxForward call{.x = x, .y = x};
  EXPECT_EQ(message_of<ShapeError>([&] { check(call); }),
            "softmax_forward: x: expected f32, bf16 or f16, got f64");
  EXPECT_NO_THROW(check(call, Widest::f64));
}

TEST(check, wants_companions_in_f32_beside_narrow_storage) {
  const auto x = described(DType::bf16, {2, 4, 3, 3}), narrow = described(DType::bf16, {4}), wide = f32({4});
  BatchNormForward call{.x = x, .gamma = wide, .beta = wide, .y = x, .mean = wide, .variance = wide};
  EXPECT_NO_THROW(check(call));
  call.gamma = narrow;
  EXPECT_EQ(message_of<ShapeError>([&] { check(call); }),
            "batch_norm_forward: gamma: expected f32 4, got bf16 4");
}

TEST(check_ctc_labels, accepts_anything_beyond_a_labels_length) {
  const std::int32_t labels[] = {1, 2, INT_MAX, 3, -7, 0}, lengths[] = {2, 1}, steps[] = {5, 0};
  EXPECT_NO_THROW(check_ctc_labels(labels, lengths, steps, 4, 5, 0));
  EXPECT_NO_THROW(check_ctc_labels({}, {}, {}, 4, 5, 0));
}

TEST(check_ctc_labels, names_sample_position_and_value) {
  const auto refuse = [](std::int32_t label) {
    const std::int32_t labels[] = {1, 2, 1, label}, lengths[] = {2, 2}, steps[] = {5, 5};
    return message_of<DataError>([&] { check_ctc_labels(labels, lengths, steps, 4, 5, 0); });
  };
  EXPECT_EQ(refuse(4), "ctc: sample 1: label 1: expected 0 to 3, not the blank 0, got 4");
  for (const std::int32_t label : {0, -1, INT_MAX, INT_MIN})
    EXPECT_THAT(refuse(label), HasSubstr(fmt::format("got {}", label)));
}

TEST(check_ctc_labels, refuses_lengths_out_of_range) {
  const std::int32_t labels[] = {1, 2};
  const auto refuse = [&](std::int32_t label_length, std::int32_t input_length) {
    const std::int32_t lengths[] = {label_length}, steps[] = {input_length};
    return message_of<DataError>([&] { check_ctc_labels(labels, lengths, steps, 4, 5, 0); });
  };
  EXPECT_EQ(refuse(3, 5), "ctc: sample 0: label length: expected 0 to 2, got 3");
  EXPECT_EQ(refuse(-1, 5), "ctc: sample 0: label length: expected 0 to 2, got -1");
  EXPECT_EQ(refuse(2, 6), "ctc: sample 0: input length: expected 0 to 5, got 6");
  EXPECT_EQ(refuse(2, -1), "ctc: sample 0: input length: expected 0 to 5, got -1");
}

TEST(ctc_least_steps, counts_a_blank_between_equals) {
  const std::int32_t label[] = {1, 1, 2, 2, 2, 1};
  EXPECT_EQ(ctc_least_steps(label), 9);
  EXPECT_EQ(ctc_least_steps({}), 0);
}

TEST(reference, leaves_strided_placements_as_they_are) {
  for (const auto type : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const auto plain = described(type, {2, 3, 4, 5});
    Copy call{.x = plain, .y = make_view(nullptr, type, {2, 3, 4, 5}, Order::channels_last)};
    call.x.strides = {120, 40, 10, 2};  // every other element of rows twice as long
    const Values values = complete("strided", bound(call), {});
    const auto observed = observe(reference::backend(), {.images = Images::as_given}, call, values);
    EXPECT_THAT(observed.problems, testing::IsEmpty());
    EXPECT_TRUE(std::ranges::equal(observed.outputs.at("y").values(), values.at("x").values()));
  }
}

/// The operations that a backend's table lacks.
template <class... Calls>
std::vector<std::string_view> missing(const Backend& table) {
  std::vector<std::string_view> names;
  ((table.*operation<Calls>.planner ? void() : names.push_back(operation<Calls>.name)), ...);
  return names;
}

std::vector<std::string_view> missing(const Backend& table) {
  return missing<ActivationForward, ActivationBackward, Conv2dForward, Conv2dPoolForward,
                 Conv2dMomentsForward, Conv2dBackwardData, Conv2dBackwardWeight, Gemm, DenseForward,
                 DenseBackwardData, DenseBackwardWeight, PoolForward, PoolBackward, WindowWidths,
                 BatchNormForward, BatchNormInference, BatchNormBackward, BatchNormPoolForward,
                 BatchNormPoolApply, BatchNormPoolBackward, RunningUpdate, FoldBatchNorm, LstmForward,
                 LstmBackward, SoftmaxForward, SoftmaxBackward, CrossEntropy, ScaleRows, MeanForward,
                 MeanBackward, CtcLoss, Copy, Add, Dropout, ImageToSequence, SequenceToImage, Flatten,
                 Unflatten, GradientNorm, OptimizerStep, StepEnd>(table);
}

using Table = EveryBackend;

TEST_P(Table, does_every_operation) {
  // Fused, and taken apart there.
  static const std::vector<std::string_view> not_on_processors{
      "conv2d_pool_forward", "conv2d_moments_forward", "batch_norm_pool_apply"};
  EXPECT_EQ(missing(backend()), target_of(backend()) ? std::vector<std::string_view>{} : not_on_processors);
}

TEST_P(Table, refuses_a_malformed_call_before_it_runs) {
  Gemm call{.a = f32({2, 3}), .b = f32({4, 5}), .y = f32({2, 5})};
  EXPECT_THROW(backend().gemm(call, {}), ShapeError);
}

TEST_P(Table, refuses_double_by_name) {
  const auto x = described(DType::f64, {3, 4});
  SoftmaxForward call{.x = x, .y = x};
  EXPECT_THAT(message_of<ShapeError>([&] { backend().softmax_forward(call, {}); }), HasSubstr("got f64"));
}

/// A call of nothing, and variants that take it or do not.
struct Anything {};
Plan<Anything> plan_anything(Anything&, const Selection&) { return {}; }
Plan<Anything> refuse_anything(Anything&, const Selection&) { throw Refused("no library today"); }
constexpr Variant<Anything> ours{"ours", Origin::native, plan_anything},
    theirs{"theirs", Origin::vendor, plan_anything},
    missing_library{"missing", Origin::vendor, refuse_anything};

std::string chosen(std::initializer_list<Variant<Anything>> variants, KernelSet kernels) {
  Anything call;
  return first_variant<Anything>("anything", variants, call, {.kernels = kernels}).variant;
}

TEST(first_variant, of_a_library_is_taken_alone_where_the_list_has_one) {
  EXPECT_EQ(chosen({ours, theirs}, KernelSet::automatic), "ours");
  EXPECT_EQ(chosen({ours, theirs}, KernelSet::native), "ours");
  EXPECT_EQ(chosen({ours, theirs}, KernelSet::vendor), "theirs");
  EXPECT_EQ(chosen({missing_library, theirs}, KernelSet::vendor), "theirs");
}

TEST(first_variant, of_a_list_without_a_library_is_ours_for_every_choice) {
  for (const auto kernels : {KernelSet::automatic, KernelSet::native, KernelSet::vendor})
    EXPECT_EQ(chosen({ours}, kernels), "ours") << name_of(kernels);
}

TEST(first_variant, is_refused_by_name_where_the_librarys_refuses) {
  const auto message = message_of<Unsupported>([] { chosen({ours, missing_library}, KernelSet::vendor); });
  EXPECT_EQ(
      message,
      "anything: no variant takes this call:\n  ours: left out by --kernels\n  missing: no library today");
}

TEST_P(Table, scales_rows_whatever_kernels_are_asked_for) {
  for (const auto kernels : {KernelSet::native, KernelSet::vendor}) {
    ScaleRows call{.x = f32({3, 4}), .scale = f32({3}), .y = f32({3, 4})};
    EXPECT_THAT(backend().scale_rows(call, {.kernels = kernels}).variant, testing::Not(testing::IsEmpty()));
  }
}

TEST(reference, does_every_operation) { EXPECT_THAT(missing(reference::backend()), testing::IsEmpty()); }

INSTANTIATE_TEST_SUITE_P(on, Table, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace scrawl::test
