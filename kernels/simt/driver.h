#pragma once
/// What is behind runtime_api.h: the memory, streams, events, captures and graphs of one device. Its
/// functions are those of the API, one thread at a time.

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/simt/backlog.h"
#include "kernels/simt/machine.h"
#include "kernels/simt/runtime_api.h"

namespace scrawl::simt {

/// What a test decides about the device.
struct Controls {
  Schedule schedule = {};    ///< of kernels, each with a seed of its own; its seed also orders the streams
  std::size_t capacity = 0;  ///< bytes of device memory; 0: a third of what this machine has
  int devices = 1, driver_version = 13000, compute_capability = 8;
  int multiprocessors = 108;  ///< as an A100's; each holds one block of a launch together

  /// A call that fails, and does nothing.
  struct Failure {
    std::uint64_t call = 0;     ///< from 1 on, of the function, or of all if it is empty; 0: none
    std::string function = {};  ///< "cudaMalloc"
    cudaError_t error = cudaErrorUnknown;
  } failure = {};
};

/// What was made and not released.
struct Live {
  std::size_t allocations = 0, bytes = 0, host_allocations = 0, streams = 0, events = 0, graphs = 0,
              executable_graphs = 0;

  bool operator==(const Live&) const = default;
};

/// Things by handle.
template <class Handle, class T>
class Table {
 public:
  Handle add(T thing) {
    const auto handle = reinterpret_cast<Handle>(++given_out_ * 256);  // as if it were an address
    things_.emplace(handle, std::move(thing));
    return handle;
  }
  T* find(Handle handle) {
    const auto found = things_.find(handle);
    return found == things_.end() ? nullptr : &found->second;
  }
  bool erase(Handle handle) { return things_.erase(handle) > 0; }
  void clear() { things_.clear(); }
  std::size_t size() const { return things_.size(); }
  std::map<Handle, T>& all() { return things_; }

 private:
  std::uintptr_t given_out_ = 0;
  std::map<Handle, T> things_;
};

class Driver {
 public:
  static constexpr int runtime_version = 13000;

  explicit Driver(Machine&);
  ~Driver() { reset(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void reset();  ///< drops what is queued, releases everything
  void control(const Controls&);
  const Controls& controls() const { return controls_; }
  cudaError_t unusable() const;
  cudaError_t broken() const { return broken_; }
  void note(cudaError_t error) {
    if (error != cudaSuccess) last_error_ = error;
  }
  cudaError_t last_error() const { return broken_ ? broken_ : last_error_; }
  void forget_error() { last_error_ = cudaSuccess; }
  const std::string& words() const { return words_; }
  void forget_words() { words_.clear(); }
  Live live() const;
  void run_some() { backlog_.run_some(); }

  cudaError_t properties(cudaDeviceProp*, int device) const;
  cudaError_t attribute(int* value, cudaDeviceAttr, int device) const;
  cudaError_t synchronize();

  cudaError_t memory_info(std::size_t* free, std::size_t* total) const;
  cudaError_t allocate(void**, std::size_t bytes);
  cudaError_t release(void*);
  cudaError_t allocate_host(void**, std::size_t bytes);
  cudaError_t release_host(void*);

  cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t);
  cudaError_t set(void* to, int byte, std::size_t bytes, cudaStream_t);
  cudaError_t launch(const Grid&, cudaStream_t);
  cudaError_t call_host(cudaHostFn_t, void* data, cudaStream_t);

  cudaError_t create_stream(cudaStream_t*);
  cudaError_t destroy_stream(cudaStream_t);
  cudaError_t synchronize_stream(cudaStream_t);
  cudaError_t query_stream(cudaStream_t);
  cudaError_t wait_event(cudaStream_t, cudaEvent_t);

  cudaError_t create_event(cudaEvent_t*, unsigned flags);
  cudaError_t destroy_event(cudaEvent_t);
  cudaError_t record_event(cudaEvent_t, cudaStream_t);
  cudaError_t synchronize_event(cudaEvent_t);
  cudaError_t query_event(cudaEvent_t);
  cudaError_t elapsed_time(float*, cudaEvent_t, cudaEvent_t);

  cudaError_t begin_capture(cudaStream_t, cudaStreamCaptureMode);
  cudaError_t end_capture(cudaStream_t, cudaGraph_t*);
  cudaError_t is_capturing(cudaStream_t, cudaStreamCaptureStatus*);
  cudaError_t instantiate(cudaGraphExec_t*, cudaGraph_t);
  cudaError_t launch_graph(cudaGraphExec_t, cudaStream_t);
  cudaError_t destroy_executable(cudaGraphExec_t);
  cudaError_t destroy_graph(cudaGraph_t);

  /// Whether the calling thread is in a host function of a stream.
  static bool in_host_function();

 private:
  using Work = std::function<void()>;

  struct Graph {
    struct Node {
      Work work;
      std::vector<std::size_t> after;
    };
    std::vector<Node> nodes;
  };
  /// A graph that streams are writing.
  struct Capture {
    cudaStreamCaptureMode mode;
    cudaStream_t origin;
    Graph graph;
    bool invalidated = false;
  };
  using CaptureId = std::uint64_t;  ///< 0: none; never given out twice
  /// The place in the order of work that a stream or an event stands for: all that is captured, or queued, up
  /// to it.
  struct Position {
    CaptureId capture = 0;
    std::vector<std::size_t> nodes;  ///< of the capture
    Backlog::Id last = 0;            ///< where it is none
  };
  struct Event : Position {
    bool timed = true;
    std::shared_ptr<std::uint64_t> reached;  ///< how much work had run; null before it was ever recorded
  };
  struct Executable {
    std::shared_ptr<const Graph> graph;
    Backlog::Id last = 0;
  };

  template <class... Args>
  cudaError_t refuse(cudaError_t error, fmt::format_string<Args...> words, Args&&... args) {
    words_ = fmt::format(words, std::forward<Args>(args)...);
    return error;
  }
  void break_device(cudaError_t, std::string words);
  cudaError_t enqueue(cudaStream_t, Work);
  Capture* capture_of(const Position&);
  void invalidate(const Position&);
  /// For calls that end a capture in which they come: its error.
  cudaError_t refuse_captured(const Position&, cudaError_t, std::string_view words);
  /// For calls that no capture in global mode allows: its error, which ends them all.
  cudaError_t disturb_captures();
  bool is_allocated(const void*, std::size_t bytes) const;
  enum class Side : std::uint8_t { host, device };
  cudaError_t check_side(const char* what, const void*, std::size_t bytes, Side);
  /// For work that runs: what it touches may be gone, if a graph replays it. Breaks the device then.
  bool is_still_allocated(const char* what, const void*, std::size_t bytes);

  Machine& machine_;
  Controls controls_;
  Backlog backlog_{0};
  std::uint64_t launches_ = 0;
  cudaError_t broken_ = cudaSuccess, last_error_ = cudaSuccess;
  std::string words_;

  std::map<const std::byte*, std::size_t> allocations_;
  std::size_t used_ = 0;
  std::map<void*, std::size_t> host_allocations_;
  Table<cudaStream_t, Position> streams_;
  Table<cudaEvent_t, Event> events_;  ///< where each was recorded
  Table<cudaGraph_t, std::shared_ptr<const Graph>> graphs_;
  Table<cudaGraphExec_t, Executable> executables_;
  CaptureId captured_ = 0;
  std::map<CaptureId, Capture> captures_;
};

}  // namespace scrawl::simt
