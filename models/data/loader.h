#pragma once
/// Batches made ahead of their consumer, on threads of their own.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "models/data/batch.h"

namespace scrawl {

struct LoaderOptions {
  int workers = 1;
  int prefetch = 4;           ///< batches made ahead at most
  std::int64_t position = 0;  ///< where to start: Batch::next_position of the last batch consumed
};

/// Hands out the batches of a BatchMaker in order; the number of workers changes nothing but speed. Loaders
/// may share a maker, and with it the images kept: one for each evaluation, say.
class Loader {
 public:
  /// Starts the workers. Throws UsageError unless workers and prefetch are positive and position is not
  /// negative.
  explicit Loader(std::shared_ptr<BatchMaker>, LoaderOptions = {});

  /// Waits for batches in the making.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch; none after an evaluation's last. Rethrows what a worker threw in making it. One consumer
  /// at a time.
  std::optional<Batch> next();

  /// How long next() has waited for workers, in all.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Made {
    Batch batch;
    std::exception_ptr error;
  };

  void work(std::stop_token);
  std::optional<std::int64_t> claim(std::stop_token);

  std::shared_ptr<BatchMaker> maker_;
  LoaderOptions options_;
  std::int64_t consumed_;  // position of the batch that next() returns
  double seconds_waited_ = 0;

  std::mutex mutex_;                      // of all below
  std::condition_variable_any has_room_;  // for workers
  std::condition_variable has_batch_;     // for the consumer
  std::int64_t claimed_;                  // position of the batch that a worker makes next
  int ahead_ = 0;                         // batches claimed and not consumed
  std::map<std::int64_t, Made> made_;     // by position
  std::vector<std::jthread> workers_;     // last, so that they end before what they use
};

}  // namespace scrawl
