#include "kernels/simt/races.h"

#include <algorithm>

namespace scrawl::simt {

void Races::begin_block(std::uint64_t block, int threads, std::span<const std::byte> shared) {
  block_ = block;
  threads_ = threads;
  clocks_.assign(static_cast<std::size_t>(threads) * static_cast<std::size_t>(threads), 0);
  for (int lane = 0; lane < threads; ++lane) clock(lane, lane) = 1;
  for (const auto& byte : shared) histories_.erase(&byte);
}

void Races::meet(std::span<const int> lanes) {
  std::vector<Clock> joined(static_cast<std::size_t>(threads_));
  for (const int lane : lanes)
    for (int i = 0; i < threads_; ++i)
      joined[static_cast<std::size_t>(i)] = std::max(joined[static_cast<std::size_t>(i)], clock(lane, i));
  for (const int lane : lanes) {
    std::ranges::copy(joined, &clock(lane, 0));
    ++clock(lane, lane);
  }
}

std::optional<Races::Access> Races::read(const void* address, std::size_t bytes, int lane,
                                         const void* instruction) {
  const auto* const first = static_cast<const std::byte*>(address);
  for (const auto* byte = first; byte < first + bytes; ++byte) {
    auto& [write, reads] = histories_[byte];
    if (write && !is_ordered(*write, lane)) return write->access;
    const Event event{{block_, lane, instruction}, clock(lane, lane)};
    // What is ordered after this read is ordered after those before it.
    std::erase_if(reads, [&](const Event& earlier) { return is_ordered(earlier, lane); });
    reads.push_back(event);
  }
  return std::nullopt;
}

std::optional<Races::Access> Races::write(const void* address, std::size_t bytes, int lane,
                                          const void* instruction) {
  const auto* const first = static_cast<const std::byte*>(address);
  for (const auto* byte = first; byte < first + bytes; ++byte) {
    auto& [write, reads] = histories_[byte];
    if (write && !is_ordered(*write, lane)) return write->access;
    for (const auto& read : reads)
      if (!is_ordered(read, lane)) return read.access;
    reads.clear();
    write = Event{{block_, lane, instruction}, clock(lane, lane)};
  }
  return std::nullopt;
}

}  // namespace scrawl::simt
