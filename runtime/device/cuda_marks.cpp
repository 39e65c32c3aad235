#include <cstdio>
#include <span>
#include <utility>

#include "kernels/cuda/device/runtime.h"
#include "runtime/device/cuda.h"

namespace SCRAWL_CUDA {

namespace {

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDefault), "an event is made"); }
  ~Event() {
    if (event_ == nullptr) return;
    if (const auto error = cudaEventDestroy(event_); error != cudaSuccess)
      std::fprintf(stderr, "an event is given back: %s\n", cudaGetErrorName(error));
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "an event is recorded"); }
  void wait() { check(cudaEventSynchronize(event_), "an event is waited for"); }
  double us_until(const Event& later) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, event_, later.event_), "events are compared");
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class EventMarks final : public Marks {
 public:
  explicit EventMarks(cudaStream_t stream) : stream_(stream) {}

  // Events are kept: making one takes longer than recording it.
  void mark() override {
    if (used_ == events_.size()) events_.emplace_back();
    events_[used_++].record(stream_);
  }

  std::vector<double> read_us() override {
    const double now = anchor();
    std::vector<double> times;
    for (const auto& event : std::span(events_).first(used_)) times.push_back(now - event.us_until(anchor_));
    used_ = 0;
    return times;
  }

 private:
  /// Where the host's clock stands when `anchor_` is reached: in the middle of what it takes to record an
  /// event behind nothing and to see it arrive. The first one waits for the stream.
  double anchor() {
    anchor_.record(stream_);
    anchor_.wait();
    const double before = steady_us();
    anchor_.record(stream_);
    anchor_.wait();
    return (before + steady_us()) / 2;
  }

  cudaStream_t stream_;
  Event anchor_;
  std::vector<Event> events_;
  std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Marks> event_marks(Stream stream) {
  return std::make_unique<EventMarks>(reinterpret_cast<cudaStream_t>(stream));
}

}  // namespace SCRAWL_CUDA
