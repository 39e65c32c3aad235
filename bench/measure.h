#pragma once
/// The one timing harness: warm-up, samples long enough for the clock, alternation, median and spread.
///
///   SteadyClock clock;
///   CacheFlush flush(cold_bytes());
///   Timed ours([&] { conv2d_forward(...); }, clock, {.before = std::ref(flush)});
///   PeerProcess torch({"python3", "bench/peers/serve.py"});
///   Comparison c = compare(std::ref(ours), {{{"pytorch", [&] { return torch.sample_us(name); }}}}, {});
///
/// A GPU brings its own Clock, made of two events on the stream that the work is queued on.

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace scrawl::bench {

/// Measures the time between two points of a queue of work.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual void start() = 0;
  virtual double
  stop_us() = 0;  ///< microseconds since start(), once the work before has ended; may be called again
};

/// Host time. For work that is done when its function returns.
class SteadyClock final : public Clock {
 public:
  void start() override { start_ = std::chrono::steady_clock::now(); }
  double stop_us() override;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Distribution of samples. Percentiles interpolate linearly between ranks; mad is the median of
/// |sample - median|. No mean: a scheduler's hiccup is not a property of the kernel.
struct Summary {
  double median = 0;
  double p10 = 0;
  double p90 = 0;
  double mad = 0;
  int samples = 0;
};

/// Throws UsageError without samples.
Summary summarize(std::span<const double> samples);

/// Gives one sample: microseconds of one run. A peer in another process is a Sampler too.
using Sampler = std::function<double()>;

enum class Cache { hot, cold };

/// Twice the last-level cache, but at most 256 MiB: a shared server cache of which a virtual machine owns a
/// slice is not worth more. Reports record it as `flushed_bytes`.
std::size_t cold_bytes();

/// Evicts the caches of all OpenMP threads by writing to memory of that size.
class CacheFlush {
 public:
  explicit CacheFlush(std::size_t bytes) : lines_((bytes + sizeof(Line) - 1) / sizeof(Line)) {}
  void operator()();

 private:
  struct alignas(64) Line {
    unsigned char bytes[64] = {};
  };
  std::vector<Line> lines_;
};

/// How Timed samples.
struct Sampling {
  int warmup = 3;  ///< untimed runs first
  double min_sample_us =
      200;  ///< runs per sample double until a sample lasts so long; one run if `before` is set
  std::function<void()> before;  ///< untimed, before each sample: a CacheFlush makes it cold
};

/// Times `work` with `clock`, which must outlive it. Warms up when made.
class Timed {
 public:
  Timed(std::function<void()> work, Clock& clock, Sampling = {});
  double operator()();                ///< one sample: microseconds a run
  int runs() const { return runs_; }  ///< in a sample

 private:
  std::function<void()> work_;
  Clock& clock_;
  Sampling sampling_;
  int runs_ = 1;
};

/// When alternation ends: after `most` rounds, or once `seconds` have passed and `least` rounds are done.
struct Budget {
  double seconds = 2;
  int least = 10;
  int most = 200;
  std::chrono::microseconds pause{
      0};  ///< before each sample: lets another process's spinning threads go to sleep
};

/// Samples of each sampler, in rounds A B, B A, A B, ... so that drift of the machine falls on all alike.
/// Element [i][round]. `wall` measures the budget; no sampler may use it.
std::vector<std::vector<double>> alternate(std::span<const Sampler>, const Budget&,
                                           Clock&& wall = SteadyClock{});

/// Somebody else's implementation of the same work.
struct Peer {
  std::string name;
  Sampler sample;
};

/// A peer's time, and the ratio theirs / ours of the same round: above 1, ours is faster.
struct Beside {
  std::string name;
  Summary us, ratio;
};

/// Ours beside the fastest peer.
struct Comparison {
  Summary ours;
  std::string peer;  ///< empty without peers
  Summary peer_us;
  Summary ratio;
  std::vector<Beside> all = {};  ///< peers, the fastest among them
};

Comparison compare(const Sampler& ours, std::span<const Peer> peers, const Budget&,
                   Clock&& wall = SteadyClock{});

}  // namespace scrawl::bench
