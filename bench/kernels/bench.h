#pragma once
/// Our kernels on a device, each variant by itself, beside the vendor's best and other peers, alternating in
/// one run.
///
/// A variant's outputs are compared first: with the reference (on a GPU: with the CPU) at a small extent, and
/// with the other variants' at the extent itself; one that is wrong is reported and not timed. The vendor's
/// side is the best of all its plans, which are searched once a problem; its algorithms for LSTM and CTC have
/// rows of their own.

#include <memory>
#include <optional>
#include <set>

#include "bench/kernels/check.h"
#include "bench/kernels/search.h"
#include "bench/kernels/sweep.h"
#include "bench/peer.h"
#include "bench/report.h"

namespace scrawl::bench {

struct BenchSettings {
  double seconds = 0.15;      ///< of alternation a row
  int least = 5, most = 100;  ///< rounds of it
  double search_seconds = 2;  ///< for the vendor's best plan of a problem
  enum class Against : std::uint8_t { nobody, vendor } against = Against::vendor;
  PeerProcess* torch = nullptr;  ///< asked for the same names
};

/// Each sampler's least of one sample, or of three where that is beyond `factor` times the fastest's: once
/// can be the scheduler's hiccup.
std::vector<double> first_look(std::span<const Sampler>, double factor);

/// A variant's time among others'.
struct VariantTime {
  std::string variant;
  Summary us;              ///< of a first look alone where that is beyond thrice the fastest's
  std::string wrong = {};  ///< what is wrong with its outputs: then there is no time
};

class Bench {
 public:
  /// Device and report must outlive it. On simt nothing is timed: launches and lanes are counted.
  Bench(Device&, Report&, const BenchSettings&);

  /// The device's rates, for percents of the limit: of copies, and of products in these types.
  void measure_ceilings(const std::vector<std::string>& types);

  /// Adds rows of a problem to the report: each of our variants, cold and hot. In memory is one of ours, and
  /// what it alternates with. Returns how many.
  std::size_t measure(const Name&);

  /// The variants of the backend's own list, vendor's among them, that the device's selection has and that
  /// take a problem, in the list's order: hot, as within a step, alternating with one another. Not on simt.
  std::vector<VariantTime> compare_variants(const Name&);

  /// Why there is nobody from PyTorch beside some operations, by these.
  const std::map<std::string, std::string>& left_out() const { return left_out_; }

 private:
  struct Placed;
  struct Rivals;

  Placed place(const Name&, const Problem&, const Selection&, const std::string& variant);
  Rivals rivals_of(const Name&, const Problem&);
  Found search_of(const Name&, const Problem&);
  void add_torch(const Name&, Rivals&);
  void report(const Attempt&);
  Sampler sampler_of(Work&, Cache);
  std::optional<Ceilings> ceilings(const std::string& type) const;
  std::map<std::string, std::uint64_t> work_so_far() const;

  Device& device_;
  Report& report_;
  BenchSettings settings_;
  Checks checks_;
  bool counts_;  ///< in place of times
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Work> flush_;
  Values expected_;             ///< outputs of the problem, by the first variant that was right
  std::set<std::string> told_;  ///< the vendor's rows
  std::map<std::string, std::string> left_out_;
};

}  // namespace scrawl::bench
