#include "tests/io/samples.h"

#include <cstdint>
#include <vector>

#include "runtime/io/events.h"
#include "runtime/io/safetensors.h"

namespace scrawl {
namespace {

template <class T>
std::vector<T> values(std::initializer_list<double> list) {
  std::vector<T> out;
  for (const double value : list) {
    if constexpr (std::is_arithmetic_v<T>)
      out.push_back(static_cast<T>(value));
    else
      out.push_back(T(static_cast<float>(value)));
  }
  return out;
}

}  // namespace

void write_sample_tensors(const std::filesystem::path& path) {
  auto weight = values<float>({0.5, -1, 3.25, 1e-30, 65504, -0.0});
  auto moment = values<double>({1.0 / 3, 1e300});
  auto running = values<bf16>({1, -2.5, 3.140625});
  auto scale = values<f16>({0.0999755859375});
  auto labels = values<std::int32_t>({-1, 0, 2147483647});
  auto samples = values<std::int64_t>({4503599627370497.0});
  auto mask = values<std::uint8_t>({0, 255, 7, 1, 2});
  const std::vector<NamedView> tensors{
      {"conv1.weight", make_view(weight.data(), DType::f32, {2, 1, 3, 1})},
      {"optimizer.moment", make_view(moment.data(), DType::f64, {2})},
      {"bn1.running_mean", make_view(running.data(), DType::bf16, {3})},
      {"loss_scale", make_view(scale.data(), DType::f16, {1})},
      {"labels", make_view(labels.data(), DType::i32, {1, 1, 1, 1, 3})},
      {"samples", make_view(samples.data(), DType::i64, Shape{})},
      {"mask", make_view(mask.data(), DType::u8, {5})},
      {"größe.empty", make_view(nullptr, DType::f32, {0, 4})},
  };
  write_safetensors(path, tensors,
                    {{"alphabet", "aäß \"\\\n€"}, {"architecture", "crnn-small"}, {"version", 1}});
}

std::filesystem::path write_sample_events(const std::filesystem::path& folder) {
  double seconds = 1000;
  const auto clock = [&seconds] { return seconds; };
  EventWriter first(folder, {.resumed_step = {}, .clock = clock});
  for (std::int64_t step = 0; step < 4; ++step) {
    seconds += 1;
    first.scalar("train/loss", step, 2.0f / static_cast<float>(step + 1));
    first.scalar("val/cer", step, 0.5f);
  }
  seconds += 1;
  EventWriter resumed(folder, {.resumed_step = 2, .clock = clock});
  resumed.scalar("train/loss", 3, 0.25f);
  resumed.scalar("train/loss", std::int64_t{1} << 40, 0.125f);
  return first.path();
}

}  // namespace scrawl
