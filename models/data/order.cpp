#include "models/data/order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/error.h"
#include "models/data/draws.h"

namespace scrawl {
namespace {

void shuffle(std::vector<std::uint32_t>& items, Draws draws) {
  for (auto n = static_cast<std::uint32_t>(items.size()); n > 1; --n)
    std::swap(items[n - 1], items[draws.below(n)]);
}

/// `total` in whole numbers proportional to `weights`, by largest remainder; the first of equals wins.
std::vector<std::size_t> apportion(const std::vector<double>& weights, std::size_t total) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::size_t> shares;
  std::vector<double> remainders;
  std::size_t given = 0;
  for (const double weight : weights) {
    const double exact = static_cast<double>(total) * weight / sum;
    shares.push_back(static_cast<std::size_t>(exact));
    remainders.push_back(exact - std::floor(exact));
    given += shares.back();
  }
  std::vector<std::size_t> by_remainder(weights.size());
  std::iota(by_remainder.begin(), by_remainder.end(), 0);
  std::ranges::stable_sort(by_remainder, std::greater<>(), [&](std::size_t i) { return remainders[i]; });
  for (std::size_t i = 0; given < total; ++i, ++given) ++shares[by_remainder[i % by_remainder.size()]];
  return shares;
}

}  // namespace

std::vector<std::uint32_t> epoch_order(std::size_t n, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  shuffle(order, Draws(seed, Draws::Purpose::shuffle, static_cast<std::uint64_t>(epoch)));
  return order;
}

std::vector<std::uint32_t> balanced_epoch_order(std::span<const std::int32_t> class_of, double power,
                                                std::uint64_t seed, std::int64_t epoch) {
  if (!(power >= 0 && power <= 1)) throw UsageError("balance: expected a power from 0 to 1, got {}", power);
  std::vector<std::vector<std::uint32_t>> members;
  for (std::uint32_t i = 0; i < class_of.size(); ++i) {
    const auto c = static_cast<std::size_t>(class_of[i]);
    if (c >= members.size()) members.resize(c + 1);
    members[c].push_back(i);
  }
  std::vector<double> weights;
  for (const auto& samples : members)
    weights.push_back(samples.empty() ? 0.0 : std::pow(static_cast<double>(samples.size()), 1.0 - power));

  const auto shares = apportion(weights, class_of.size());
  const auto index = static_cast<std::uint64_t>(epoch);
  std::vector<std::uint32_t> order;
  for (std::uint32_t c = 0; c < members.size(); ++c) {
    shuffle(members[c], Draws(seed, Draws::Purpose::shuffle_class, index, c));
    for (std::size_t i = 0; i < shares[c]; ++i) order.push_back(members[c][i % members[c].size()]);
  }
  shuffle(order, Draws(seed, Draws::Purpose::shuffle, index));
  return order;
}

}  // namespace scrawl
