#include "bench/static/prediction.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
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

/// Instructions that a warp issues if so many of one kind are among them: as in the densest of some parts of
/// its code. 0 if these have none of the kind.
template <class Kind>
double issued(const std::vector<Instructions>& parts, Kind kind, double of_kind) {
  double densest = 0;
  for (const auto& part : parts) densest = std::max(densest, static_cast<double>(kind(part)) / part.all);
  return densest == 0 ? 0 : of_kind / densest;
}

/// By its products, where a loop does nothing else; by its accesses otherwise. A loop over tiles that also
/// stores them holds what is done with the results in other calls, too, and has more instructions than it
/// issues.
double issued(const MachineCode& code, double products, double accesses) {
  const auto is_product = [](const Instructions& part) { return part.products; };
  const auto is_access = [](const Instructions& part) {
    return part.global + part.shared + part.matrix_loads;
  };
  std::vector<Instructions> loops_of_products;
  std::ranges::copy_if(code.loops, std::back_inserter(loops_of_products),
                       [](const Instructions& loop) { return loop.stores == 0; });
  if (const auto all = issued(loops_of_products, is_product, products); all > 0) return all;
  const auto in_loops = issued(code.loops, is_access, accesses);
  return in_loops > 0 ? in_loops : issued(std::vector{code.whole}, is_access, accesses);
}

std::uint64_t all_of(const simt::Counted& launch, std::string_view name) {
  const auto found = launch.visits.find(name);
  return found == launch.visits.end() ? 0 : found->second.all;
}

std::uint64_t serial(const simt::Counted& launch, std::initializer_list<std::string_view> names) {
  std::uint64_t sum = 0;
  for (const auto name : names)
    if (const auto found = launch.visits.find(name); found != launch.visits.end()) sum += found->second.one;
  return sum;
}

/// addr2line takes a while, and some calls launch one kernel a thousand times.
const std::string& kernel_at(const void* address) {
  static std::map<const void*, std::string> known;
  const auto [found, is_new] = known.try_emplace(address);
  if (is_new) found->second = function_name(simt::function_at(address));
  return found->second;
}

Predicted count(const Gpu& gpu, const simt::Counted& launch, const Kernels& kernels) {
  Predicted p;
  p.kernel = kernel_at(launch.function);
  p.blocks = std::uint64_t{launch.blocks.x} * launch.blocks.y * launch.blocks.z;
  p.threads = launch.threads;
  p.shared_bytes = launch.shared_bytes;
  const auto blocks = static_cast<double>(p.blocks);
  const auto scale = blocks / static_cast<double>(launch.counted_blocks);
  const auto warps = blocks * std::ceil(static_cast<double>(launch.threads) / warp);
  const auto& [global, shared] = launch.traffic;
  p.bytes = scale * static_cast<double>(global.read_bytes + global.written_bytes);
  const auto a_warp = [&](double lanes) { return scale * lanes / warp / warps; };
  p.products = a_warp(static_cast<double>(all_of(launch, "multiply_add")));
  p.barriers = serial(launch, {"sync_block", "sync_warps"});
  p.shuffles = serial(launch, {"shuffle", "shuffle_up", "shuffle_down", "shuffle_xor"});
  p.flag_waits = serial(launch, {"wait_flag"});
  if (const auto found = kernels.find(p.kernel); found != kernels.end()) {
    const auto& code = found->second;
    p.registers = code.registers;
    // An asynchronous copy is one instruction that reads and writes.
    const auto lanes =
        global.reads + global.writes + shared.reads + shared.writes - all_of(launch, "copy_to_shared");
    p.instructions = issued(code, p.products, a_warp(static_cast<double>(lanes)));
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
  // Registers lie in a part for each scheduler, and a warp's in one of them.
  const int by_registers = gpu.registers / schedulers /
                           std::max(1, rounded_up(registers * warp, registers_at_once)) * schedulers / warps;
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
