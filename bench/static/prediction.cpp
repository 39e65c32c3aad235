#include "bench/static/prediction.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string_view>

#include "kernels/error.h"
#include "kernels/simt/symbol.h"

namespace scrawl::bench {

namespace {

constexpr int warp = 32, schedulers = 4;  // of a multiprocessor, one instruction a clock each

template <class T>
T rounded_up(T value, T to) {
  return (value + to - 1) / to * to;
}

/// Instructions that a warp of a kernel issues if so many of one kind are among them: as in the loop that is
/// densest in these, or, where none is in a loop, in the whole.
template <class Kind>
double issued(const MachineCode& code, Kind kind, double of_kind) {
  const auto density = [&](const Instructions& part) { return static_cast<double>(kind(part)) / part.all; };
  double densest = 0;
  for (const auto& loop : code.loops) densest = std::max(densest, density(loop));
  if (densest == 0) densest = density(code.whole);
  return densest == 0 ? 0 : of_kind / densest;
}

std::uint64_t serial(const simt::Counted& launch, std::initializer_list<std::string_view> names) {
  std::uint64_t sum = 0;
  for (const auto name : names)
    if (const auto found = launch.visits.find(name); found != launch.visits.end()) sum += found->second.one;
  return sum;
}

Predicted count(const Gpu& gpu, const simt::Counted& launch, const Kernels& kernels) {
  Predicted p;
  p.kernel = function_name(simt::function_at(launch.function));
  p.blocks = std::uint64_t{launch.blocks.x} * launch.blocks.y * launch.blocks.z;
  p.threads = launch.threads;
  p.shared_bytes = launch.shared_bytes;
  const auto blocks = static_cast<double>(p.blocks);
  const auto scale = blocks / static_cast<double>(launch.counted_blocks);
  const auto warps = blocks * std::ceil(static_cast<double>(launch.threads) / warp);
  const auto& [global, shared] = launch.traffic;
  p.bytes = scale * static_cast<double>(global.read_bytes + global.written_bytes);
  const auto a_warp = [&](double lanes) { return scale * lanes / warp / warps; };
  if (const auto found = launch.visits.find("multiply_add"); found != launch.visits.end())
    p.products = a_warp(static_cast<double>(found->second.all));
  p.barriers = serial(launch, {"sync_block", "sync_warps"});
  p.shuffles = serial(launch, {"shuffle", "shuffle_up", "shuffle_down", "shuffle_xor"});
  p.flag_waits = serial(launch, {"wait_flag"});
  if (const auto found = kernels.find(p.kernel); found != kernels.end()) {
    const auto& code = found->second;
    p.registers = code.registers;
    const auto accesses =
        a_warp(static_cast<double>(global.reads + global.writes + shared.reads + shared.writes));
    p.instructions = p.products > 0
                         ? issued(
                               code, [](const Instructions& i) { return i.products; }, p.products)
                         : issued(
                               code, [](const Instructions& i) { return i.global + i.shared; }, accesses);
    p.resident = resident_blocks(gpu, p.registers, p.threads, p.shared_bytes + code.shared_bytes);
    p.waves = blocks / (static_cast<double>(p.resident) * gpu.multiprocessors);
  }
  return p;
}

double warps_of(const Predicted& p) {
  return static_cast<double>(p.blocks) * std::ceil(static_cast<double>(p.threads) / warp);
}

/// What part of the call's products each launch makes: by its tensor-core instructions, or, where nothing
/// uses tensor cores, by all of its instructions.
std::vector<double> shares_of_products(const std::vector<Predicted>& launches, const Cost& cost) {
  std::vector<double> products, instructions;
  for (const auto& p : launches) {
    products.push_back(warps_of(p) * p.products);
    instructions.push_back(warps_of(p) * p.instructions);
  }
  auto& shares = std::ranges::max(products) > 0 ? products : instructions;
  const auto sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (auto& share : shares) share = cost.flops > 0 && sum > 0 ? share / sum : 0;
  return shares;
}

}  // namespace

const Gpu h200{.name = "H200",
               .architecture = "sm_90a",
               .multiprocessors = 132,
               .warps = 64,
               .blocks = 32,
               .registers = 1 << 16,
               .shared_bytes = 228 << 10,
               .clocks_per_second = 1.755e9,
               .bytes_per_second = 4.3e12,
               .flops_per_second = {790e12, 790e12, 395e12, 132 * 128 * 2 * 1.755e9},
               .mma_share = 0.6};

int type_index(const std::string& type) {
  constexpr std::array names{"bf16", "f16", "tf32", "f32"};
  const auto found = std::ranges::find(names, type);
  if (found == names.end()) throw UsageError("type: expected bf16, f16, tf32 or f32, got {}", type);
  return static_cast<int>(found - names.begin());
}

int resident_blocks(const Gpu& gpu, int registers, int threads, std::size_t shared_bytes) {
  constexpr int registers_at_once = 256;
  constexpr std::size_t shared_at_once = 128, of_system = 1 << 10;
  const int warps = (threads + warp - 1) / warp;
  const int by_registers =
      gpu.registers / std::max(1, rounded_up(registers * warp, registers_at_once)) / warps;
  const auto by_shared = gpu.shared_bytes / std::max(rounded_up(shared_bytes, shared_at_once), of_system);
  return std::min({gpu.blocks, gpu.warps / warps, by_registers, static_cast<int>(by_shared)});
}

Prediction predict(const Gpu& gpu, const std::vector<simt::Counted>& launches, const Kernels& kernels,
                   const Cost& cost, const std::string& type) {
  const auto peak = gpu.flops_per_second[type_index(type)];
  Prediction prediction;
  prediction.limit_us = 1e6 * std::max(cost.flops / peak, cost.bytes / gpu.bytes_per_second);
  for (const auto& launch : launches) prediction.launches.push_back(count(gpu, launch, kernels));
  const auto shares = shares_of_products(prediction.launches, cost);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    auto& p = prediction.launches[i];
    // As long as the multiprocessor with the most blocks takes.
    const auto each = static_cast<double>(p.blocks) / gpu.multiprocessors, tail = std::ceil(each) / each;
    const auto issue =
        warps_of(p) * p.instructions / (gpu.multiprocessors * schedulers * gpu.clocks_per_second) * tail;
    const auto arithmetic = shares[i] * cost.flops / (peak * (type == "f32" ? 1 : gpu.mma_share)) * tail;
    // Products read the same bytes again and again, from the second cache: memory sees the least there can
    // be.
    const auto bytes = shares[i] > 0 ? std::min(p.bytes, shares[i] * cost.bytes) : p.bytes;
    const auto memory = bytes / gpu.bytes_per_second;
    p.us = 1e6 * std::max({memory, issue, arithmetic});
    p.by = memory >= std::max(issue, arithmetic) ? "memory" : issue >= arithmetic ? "issue" : "arithmetic";
    prediction.us += p.us;
  }
  return prediction;
}

}  // namespace scrawl::bench
