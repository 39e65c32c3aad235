#include "tests/cases/elementwise.h"

#include <algorithm>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Elementwise = EveryBackend;

constexpr double u = 0x1p-24;

constexpr std::array curves{Activation::relu, Activation::sigmoid, Activation::tanh};

template <class F>
void each_case(F&& f) {
  for (const Shape& shape : elementwise_shapes)
    for (const auto type : storage_types) f(described(type, shape));
}

/// Relu is exact. Of exp and tanh in f32: 4 ulp, and a floor where they are near 0 or 1; else 1 ulp of
/// storage.
ToleranceRule curve_tolerance(Activation kind, DType type, std::string output) {
  return [=](const Values& values, const Values&) -> Tolerances {
    if (kind == Activation::relu) return {};
    const double scale = values.contains("dy") ? largest(values.at("dy")) : 1;
    return {{output, {.ulps = type == DType::f32 ? 8.0 : 2.0, .absolute = everywhere(2 * u * scale)}}};
  };
}

TEST_P(Elementwise, activations_agree_with_the_reference) {
  each_case([&](const View& x) {
    for (const auto kind : curves)
      expect_agreement(fmt::format("activation.forward[{},{}]", name_of(kind), to_string(x)),
                       ActivationForward{.kind = kind, .x = x, .y = x}, {},
                       curve_tolerance(kind, x.type, "y"));
  });
}

TEST_P(Elementwise, activation_gradients_agree_with_the_reference) {
  each_case([&](const View& x) {
    for (const auto kind : curves) {
      const auto of = fmt::format("activation.backward[{},{}]", name_of(kind), to_string(x));
      ActivationForward there{.kind = kind, .x = x, .y = x};
      const Values y{{"y", specified(there, complete(of, bound(there), {})).at("y")}};
      expect_agreement(of, ActivationBackward{.kind = kind, .y = x, .dy = x, .dx = x}, y,
                       curve_tolerance(kind, x.type, "dx"));
    }
  });
}

TEST_P(Elementwise, activations_of_extremes_agree_with_the_reference) {
  Tensor x(Shape{23});
  const double edges[] = {0,   -0.0, 0x1p-14, -0x1p-14, 1e-30,    -1e-30,    16,  -16, 88,   -88, 104, -104,
                          1e4, -1e4, 3e38,    -3e38,    INFINITY, -INFINITY, NAN, 0.5, -0.5, 9,   -9};
  std::ranges::copy(edges, x.values().begin());
  for (const auto kind : curves)
    for (const auto type : storage_types) {
      const auto view = described(type, x.shape());
      expect_agreement(fmt::format("activation.extremes[{},{}]", name_of(kind), name_of(type)),
                       ActivationForward{.kind = kind, .x = view, .y = view}, {{"x", x}},
                       curve_tolerance(kind, type, "y"));
    }
}

TEST_P(Elementwise, sums_are_rounded_once) {
  each_case([&](const View& x) {
    expect_agreement(fmt::format("add[{}]", to_string(x)), Add{.a = x, .b = x, .y = x}, {});
  });
}

/// x / (1 - rate) once in f32, once to storage.
Tolerances dropped(const Values&, const Values&) { return {{"y", {.ulps = 2.1}}}; }

TEST_P(Elementwise, dropout_draws_the_same_mask_as_the_reference) {
  each_case([&](const View& x) {
    for (const float rate : {0.0f, 0.3f, 0.5f, 0.99f})
      for (int axis = 0; axis < std::min(x.shape.rank, 2); ++axis) {
        Tensor counters(Shape{2});
        counters(0) = 12345;
        counters(1) = 0x1p33 - 1;  // the sample's number passes 32 bits within the batch
        expect_agreement(fmt::format("dropout[{},axis={},rate={}]", to_string(x), axis, rate),
                         Dropout{.rate = rate,
                                 .seed = 77,
                                 .node = 5,
                                 .sample_axis = axis,
                                 .x = x,
                                 .counters = described(DType::i64, {2}),
                                 .y = x},
                         {{"counters", counters}}, dropped);
      }
  });
}

TEST_P(Elementwise, dropout_of_nan_is_zero_where_dropped) {
  const auto x = described(DType::f32, {5, 33});
  Tensor counters(Shape{2});
  expect_agreement("dropout[nan]",
                   Dropout{.rate = 0.5f, .x = x, .counters = described(DType::i64, {2}), .y = x},
                   {{"x", Tensor({5, 33}, NAN)}, {"counters", counters}}, dropped);
}

TEST_P(Elementwise, images_and_sequences_hold_the_same_values) {
  for (const Shape& image : image_shapes)
    for (const auto type : storage_types) {
      const auto x = described(type, image), y = described(type, {image[3], image[0], image[1] * image[2]});
      expect_agreement(fmt::format("image_to_sequence[{}]", to_string(x)), ImageToSequence{.x = x, .y = y},
                       {});
      expect_agreement(fmt::format("sequence_to_image[{}]", to_string(x)), SequenceToImage{.x = y, .y = x},
                       {});
    }
}

TEST_P(Elementwise, flattening_keeps_pytorchs_order) {
  for (const Shape& image : image_shapes)
    for (const auto type : storage_types) {
      const auto x = described(type, image), y = described(type, {image[0], image[1] * image[2] * image[3]});
      expect_agreement(fmt::format("flatten[{}]", to_string(x)), Flatten{.x = x, .y = y}, {});
      expect_agreement(fmt::format("unflatten[{}]", to_string(x)), Unflatten{.x = y, .y = x}, {});
    }
}

/// The placements between which a copy of an image is asked.
struct Placed {
  std::string_view name;
  Images images;
  Order order = Order::row_major;
};

constexpr std::array placements{Placed{"nchw", Images::as_given},
                                Placed{"nhwc", Images::as_given, Order::channels_last},
                                Placed{"native", Images::native}};

/// `view` as the placement has it on the backend.
View placed(const Backend& table, const Placed& placement, View view) {
  make_plain(view, view.shape.rank == 4 ? placement.order : Order::row_major);
  const Setting setting{.selection = {.threads = 2}, .images = placement.images};
  start(table, setting, {{"x", &view, Role::input}}, {});
  return view;
}

TEST_P(Elementwise, copies_convert_type_and_placement) {
  const std::vector<Setting> as_given{{.selection = {.threads = 2}, .images = Images::as_given}};
  for (const Shape& image : image_shapes)
    for (const auto from : {DType::f32, DType::bf16, DType::f16, DType::u8})
      for (const auto to : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
        if (to == DType::u8 && from != DType::u8) continue;
        for (const auto& source : placements)
          for (const auto& target : placements) {
            const auto of = fmt::format("copy[{},{}->{},{}->{}]", to_string(image), name_of(from),
                                        name_of(to), source.name, target.name);
            if (!selected(of)) continue;
            const Copy call{.x = placed(backend(), source, described(from, image)),
                            .y = placed(backend(), target, described(to, image))};
            Tensor x(image);
            for (std::size_t i = 0; i < x.values().size(); ++i)
              x.values()[i] =
                  from == DType::u8 ? static_cast<double>(i % 256) : static_cast<double>(i) / 7 - 9;
            expect_agreement(
                of, call, {{"x", x}}, [](const Values&, const Values&) { return Tolerances{}; }, &as_given);
          }
      }
}

TEST_P(Elementwise, copies_scale_and_shift) {
  for (const Shape& shape : elementwise_shapes)
    for (const auto from : {DType::u8, DType::f32, DType::bf16})
      for (const auto to : storage_types) {
        const Copy call{
            .scale = -1 / 255.0f, .offset = 1, .x = described(from, shape), .y = described(to, shape)};
        Tensor x(shape);
        for (std::size_t i = 0; i < x.values().size(); ++i) x.values()[i] = static_cast<double>(37 * i % 256);
        expect_agreement(fmt::format("copy.scaled[{},{}->{}]", to_string(shape), name_of(from), name_of(to)),
                         call, {{"x", x}}, [](const Values&, const Values&) -> Tolerances {
                           return {{"y", {.ulps = 2, .absolute = everywhere(2 * u)}}};
                         });
      }
}

INSTANTIATE_TEST_SUITE_P(on, Elementwise, testing::ValuesIn(backends_with<Copy, Add, ActivationForward>()),
                         backend_name);

}  // namespace
}  // namespace scrawl::test
