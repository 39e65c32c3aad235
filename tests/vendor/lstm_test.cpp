/// LSTM by cuDNN, on a library whose weight space is laid out unlike ours.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "kernels/cuda/vendor/rnn.h"
#include "kernels/cuda/vendor/variants.h"
#include "kernels/reference/backend.h"

namespace scrawl::cuda {
namespace {

using testing::HasSubstr;

constexpr std::int64_t steps = 4, samples = 3, inputs = 5, hidden = 2;

/// Random values for a view.
std::vector<float> filled(View& view, const Shape& shape) {
  static std::minstd_rand random(3);
  std::uniform_real_distribution<float> real(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = real(random);
  view = make_view(values.data(), DType::f32, shape);
  return values;
}

class Lstm : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("SCRAWL_CUDNN", SCRAWL_FAKE_CUDNN, 1); }
  void SetUp() override { setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1); }
  void TearDown() override { unsetenv("CUBLAS_WORKSPACE_CONFIG"); }

  static LstmForward described(std::int64_t directions) {
    const auto view = [](const Shape& shape) { return make_view(nullptr, DType::f32, shape); };
    return {.x = view({steps, samples, inputs}),
            .w_ih = view({directions, 4 * hidden, inputs}),
            .w_hh = view({directions, 4 * hidden, hidden}),
            .b = view({directions, 4 * hidden}),
            .y = view({steps, samples, directions * hidden})};
  }

  static std::string refusal(LstmForward call) {
    try {
      first_variant<LstmForward>("lstm_forward", vendor_variants(call), call, {});
    } catch (const Unsupported& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(Lstm, finds_each_weight_in_cudnns_space) {
  for (const std::int64_t directions : {1, 2}) {
    auto call = described(directions);
    const auto x = filled(call.x, call.x.shape), w_ih = filled(call.w_ih, call.w_ih.shape),
               w_hh = filled(call.w_hh, call.w_hh.shape), b = filled(call.b, call.b.shape),
               h0 = filled(call.h0, {directions, samples, hidden}),
               c0 = filled(call.c0, {directions, samples, hidden});
    auto y = filled(call.y, call.y.shape), last_h = filled(call.hn, {directions, samples, hidden}),
         last_c = filled(call.cn, {directions, samples, hidden});

    const auto handle = cudnn_handle();
    const auto own = handle->plan([](cudnnHandle_t raw) { return raw; });
    const Rnn rnn(
        cudnn(), own,
        {.steps = steps, .samples = samples, .inputs = inputs, .hidden = hidden, .directions = directions});
    std::vector<std::byte> space(rnn.weight_bytes());
    for (const auto& piece : rnn.pieces()) {
      const auto& own = piece.of == Rnn::Piece::Of::w_ih ? w_ih : piece.of == Rnn::Piece::Of::w_hh ? w_hh : b;
      std::memcpy(space.data() + piece.theirs, reinterpret_cast<const std::byte*>(own.data()) + piece.own,
                  piece.bytes);
    }
    rnn.forward(own, {.x = x.data(),
                      .h0 = h0.data(),
                      .c0 = c0.data(),
                      .y = y.data(),
                      .hn = last_h.data(),
                      .cn = last_c.data(),
                      .weights = space.data()});

    auto expected_y = y, expected_h = last_h, expected_c = last_c;
    call.y.data = expected_y.data();
    call.hn.data = expected_h.data();
    call.cn.data = expected_c.data();
    reference::backend().lstm_forward(call, {}).run(call, {}, nullptr);
    const auto near = [](const std::vector<float>& values) {
      return testing::Pointwise(testing::FloatNear(1e-5f), values);
    };
    EXPECT_THAT(y, near(expected_y));
    EXPECT_THAT(last_h, near(expected_h));
    EXPECT_THAT(last_c, near(expected_c));
  }
}

TEST_F(Lstm, has_a_reserve_that_no_other_variant_has) {
  auto call = described(2);
  call.reserve = make_view(nullptr, DType::u8, {0});
  first_variant<LstmForward>("lstm_forward", vendor_variants(call), call, {});
  EXPECT_EQ(call.reserve.shape[0] % 2, 1);
  EXPECT_GE(call.reserve.shape[0], 960);

  LstmBackward backward{.x = call.x, .w_ih = call.w_ih, .w_hh = call.w_hh, .b = call.b, .y = call.y};
  backward.reserve = call.reserve;
  first_variant<LstmBackward>("lstm_backward", vendor_variants(backward), backward, {});
  backward.reserve.shape[0] += 1;
  try {
    first_variant<LstmBackward>("lstm_backward", vendor_variants(backward), backward, {});
    FAIL() << "another forward's reserve";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("needs the reserve of its own forward, 961 bytes, got 962"));
  }
}

TEST_F(Lstm, refuses_what_cudnn_does_not_do_as_the_contract_says) {
  auto call = described(1);
  EXPECT_EQ(refusal(call), "");
  auto narrow = call;
  narrow.x.type = DType::bf16;
  EXPECT_THAT(refusal(narrow), HasSubstr("needs f32, got bf16"));
  auto ragged = call;
  ragged.lengths = make_view(nullptr, DType::i32, {samples});
  EXPECT_THAT(refusal(ragged), HasSubstr("needs sequences of one length"));
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
  EXPECT_THAT(refusal(call), HasSubstr("its bits repeat only with CUBLAS_WORKSPACE_CONFIG"));
}

}  // namespace
}  // namespace scrawl::cuda
