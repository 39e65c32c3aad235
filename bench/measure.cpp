#include "bench/measure.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

constexpr int max_runs = 1 << 16;  // of work that takes no time at all

double percentile(std::span<const double> sorted, double p) {
  const double rank = p * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  const auto high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (rank - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

double SteadyClock::stop_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
}

Summary summarize(std::span<const double> samples) {
  if (samples.empty()) throw UsageError("summary of a measurement: expected at least one sample, got none");
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  Summary s{.median = percentile(sorted, 0.5),
            .p10 = percentile(sorted, 0.1),
            .p90 = percentile(sorted, 0.9),
            .samples = static_cast<int>(sorted.size())};
  for (double& value : sorted) value = std::abs(value - s.median);
  std::ranges::sort(sorted);
  s.mad = percentile(sorted, 0.5);
  return s;
}

std::size_t cold_bytes() {
  constexpr std::size_t at_most = std::size_t{256} << 20;
  const long last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);  // 0 or -1 where the system does not say
  return last_level > 0 ? std::min(2 * static_cast<std::size_t>(last_level), at_most) : at_most;
}

void CacheFlush::operator()() {
  const auto count = static_cast<std::ptrdiff_t>(lines_.size());
#pragma omp parallel for schedule(static)
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    volatile unsigned char& byte = lines_[static_cast<std::size_t>(i)].bytes[0];
    byte = static_cast<unsigned char>(byte + 1);
  }
}

Timed::Timed(std::function<void()> work, Clock& clock, Sampling sampling)
    : work_(std::move(work)), clock_(clock), sampling_(std::move(sampling)) {
  for (int i = 0; i < sampling_.warmup; ++i) work_();
  if (sampling_.before) return;  // the second run of a sample would find warm caches
  while (runs_ < max_runs && (*this)() * runs_ < sampling_.min_sample_us) runs_ *= 2;
}

double Timed::operator()() {
  if (sampling_.before) sampling_.before();
  clock_.start();
  for (int i = 0; i < runs_; ++i) work_();
  return clock_.stop_us() / runs_;
}

std::vector<std::vector<double>> alternate(std::span<const Sampler> samplers, const Budget& budget,
                                           Clock&& wall) {
  std::vector<std::vector<double>> samples(samplers.size());
  const auto sample = [&](std::size_t i) {
    std::this_thread::sleep_for(budget.pause);
    samples[i].push_back(samplers[i]());
  };
  double spent_us = 0;
  for (int round = 0; round < budget.most; ++round) {
    if (round >= budget.least && spent_us > budget.seconds * 1e6) break;
    wall.start();
    for (std::size_t i = 0; i < samplers.size(); ++i) sample(round % 2 == 0 ? i : samplers.size() - 1 - i);
    spent_us += wall.stop_us();
  }
  return samples;
}

Comparison compare(const Sampler& ours, std::span<const Peer> peers, const Budget& budget, Clock&& wall) {
  std::vector<Sampler> samplers{ours};
  for (const Peer& peer : peers) samplers.push_back(peer.sample);
  const auto samples = alternate(samplers, budget, std::move(wall));

  Comparison result{.ours = summarize(samples[0])};
  for (std::size_t i = 1; i < samples.size(); ++i) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < samples[0].size(); ++round)
      ratios.push_back(samples[i][round] / samples[0][round]);
    result.all.push_back({peers[i - 1].name, summarize(samples[i]), summarize(ratios)});
  }
  const auto best =
      std::ranges::min_element(result.all, {}, [](const Beside& peer) { return peer.us.median; });
  if (best != result.all.end()) {
    result.peer = best->name;
    result.peer_us = best->us;
    result.ratio = best->ratio;
  }
  return result;
}

}  // namespace scrawl::bench
