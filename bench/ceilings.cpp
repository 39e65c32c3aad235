#include "bench/ceilings.h"

#include <cmath>
#include <cstring>
#include <random>

#include "bench/device_clock.h"

namespace scrawl::bench {
namespace {

/// Random numbers, normal times `scale`, as the bytes of a type. They repeat after a prime number, so that no
/// two rows are alike.
std::vector<std::byte> random_bytes(DType type, std::int64_t count, float scale) {
  constexpr std::int64_t period = 1'048'583;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, scale);
  const auto size = size_of(type);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * size);
  dispatch_float(type, [&]<class T>() {
    for (std::int64_t i = 0; i < std::min(count, period); ++i) {
      const T value(normal(random));
      std::memcpy(&bytes[static_cast<std::size_t>(i) * size], &value, size);
    }
  });
  for (auto at = static_cast<std::size_t>(period) * size; at < bytes.size(); ++at)
    bytes[at] = bytes[at - static_cast<std::size_t>(period) * size];
  return bytes;
}

/// Memory for the operands of calls, in whatever placement their planners ask for.
class Operands {
 public:
  explicit Operands(Device& device) : device_(device) {}

  void take(View& view) {
    buffers_.emplace_back(device_, device_.backend().bytes(view));
    view.data = buffers_.back().data();
  }

  void fill(View& view, float scale) {
    take(view);
    View plain = make_view(nullptr, view.type, view.shape);
    const auto bytes = random_bytes(view.type, view.shape.count(), scale);
    if (same_placement(view, plain)) {
      device_.upload(view.data, bytes);
      return;
    }
    take(plain);
    device_.upload(plain.data, bytes);
    Copy reorder{.x = plain, .y = view};
    const auto plan = device_.backend().copy(reorder, device_.selection());
    if (!same_placement(reorder.x, plain) || !same_placement(reorder.y, view))
      throw InternalError("ceilings: {} cannot be copied to {}", device_.backend().placement(plain),
                          device_.backend().placement(view));
    plan.run(reorder, scratch(plan.workspace_bytes), device_.stream());
    device_.synchronize();
  }

  Bytes scratch(std::size_t bytes) {
    buffers_.emplace_back(device_, bytes);
    return {buffers_.back().data(), bytes};
  }

 private:
  Device& device_;
  std::vector<Buffer> buffers_;
};

/// The best of all variants of a call, each tried for half a second at most. `give` gives a call its memory.
template <class Call, class Give>
Ceiling best_of(Device& device, Selection selection, Planner<Call> planner, const Call& call, double work,
                Give give) {
  DeviceClock clock(device);
  Ceiling best;
  std::vector<std::string> tried;
  for (;;) {
    selection.without = tried;
    Call attempt = call;
    Plan<Call> plan;
    try {
      plan = planner(attempt, selection);
    } catch (const Unsupported&) {
      return best;
    }
    tried.push_back(plan.variant);
    Operands operands(device);
    give(attempt, operands);
    const auto scratch = operands.scratch(plan.workspace_bytes);
    Timed timed([&] { plan.run(attempt, scratch, device.stream()); }, clock, {.warmup = 1});
    const auto us = compare(std::ref(timed), {}, {.seconds = 0.5, .least = 5, .most = 20}).ours.median;
    if (const double rate = work / us * 1e6; rate > best.per_second) best = {rate, plan.variant};
  }
}

bool is_large(const Device& device) { return device.name() == "cuda"; }

}  // namespace

Ceiling copy_ceiling(Device& device, const Selection& selection) {
  const std::int64_t bytes = std::int64_t{1} << (is_large(device) ? 30 : 26);
  const View x = make_view(nullptr, DType::f32, {bytes / 4});
  const auto give = [](Copy& call, Operands& operands) {
    operands.fill(call.x, 1);
    operands.take(call.y);
  };
  return best_of(device, selection, device.backend().copy, Copy{.x = x, .y = x},
                 2 * static_cast<double>(bytes), give);
}

Ceiling product_ceiling(Device& device, const Selection& selection, DType storage) {
  const std::int64_t side = is_large(device) ? 8192 : 1024;
  const View a = make_view(nullptr, storage, {side, side});
  const auto give = [&](Gemm& call, Operands& operands) {
    operands.fill(call.a, 1);
    operands.fill(call.b, 1 / std::sqrt(static_cast<float>(side)));
    operands.take(call.y);
  };
  const auto flops = 2 * std::pow(static_cast<double>(side), 3);
  return best_of(device, selection, device.backend().gemm, Gemm{.a = a, .b = a, .y = a}, flops, give);
}

}  // namespace scrawl::bench
