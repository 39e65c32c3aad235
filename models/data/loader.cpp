#include "models/data/loader.h"

#include <chrono>
#include <utility>

#include "kernels/error.h"

namespace scrawl {

Loader::Loader(std::shared_ptr<BatchMaker> maker, LoaderOptions options)
    : maker_(std::move(maker)), options_(options), consumed_(options.position), claimed_(options.position) {
  if (options_.workers < 1 || options_.prefetch < 1 || options_.position < 0)
    throw UsageError("loader: expected at least 1 worker, 1 batch ahead and position 0, got {}, {} and {}",
                     options_.workers, options_.prefetch, options_.position);
  for (int i = 0; i < options_.workers; ++i)
    workers_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
}

Loader::~Loader() {
  for (std::jthread& worker : workers_) worker.request_stop();
}

std::optional<std::int64_t> Loader::claim(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!has_room_.wait(lock, stop, [&] { return ahead_ < options_.prefetch; })) return std::nullopt;
  if (maker_->ends_at(claimed_)) return std::nullopt;
  ++ahead_;
  return std::exchange(claimed_, maker_->position_after(claimed_));
}

void Loader::work(std::stop_token stop) {
  while (const auto position = claim(stop)) {
    Made made;
    try {
      made.batch = maker_->make(*position);
    } catch (...) {
      made.error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      made_.emplace(*position, std::move(made));
    }
    has_batch_.notify_one();
  }
}

std::optional<Batch> Loader::next() {
  while (!maker_->ends_at(consumed_)) {
    Made made;
    {
      std::unique_lock lock(mutex_);
      const auto start = std::chrono::steady_clock::now();
      has_batch_.wait(lock, [&] { return made_.contains(consumed_); });
      seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      made = std::move(made_.extract(consumed_).mapped());
      --ahead_;
    }
    has_room_.notify_one();
    consumed_ = maker_->position_after(consumed_);
    if (made.error) std::rethrow_exception(made.error);
    // A batch of an evaluation is empty when none of its images could be decoded.
    if (made.batch.n > 0) return std::move(made.batch);
  }
  return std::nullopt;
}

}  // namespace scrawl
