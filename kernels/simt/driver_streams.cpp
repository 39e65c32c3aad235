/// Streams, events, captures and graphs.
///
/// A stream is the last work that was queued on it: what comes next waits for that. An event is the last work
/// of a stream when it was recorded. In a capture both stand for nodes of its graph instead.

#include <algorithm>
#include <iterator>

#include "kernels/simt/driver.h"

namespace scrawl::simt {

namespace {

void do_nothing() {}

}  // namespace

Driver::Capture* Driver::capture_of(const Position& position) {
  const auto found = captures_.find(position.capture);
  return found == captures_.end() ? nullptr : &found->second;
}

void Driver::invalidate(const Position& position) {
  if (auto* const capture = capture_of(position)) capture->invalidated = true;
}

cudaError_t Driver::disturb_captures() {
  bool any = false;
  for (auto& [id, capture] : captures_) {
    if (capture.mode != cudaStreamCaptureModeGlobal) continue;
    capture.invalidated = any = true;
  }
  return any ? refuse(cudaErrorStreamCaptureUnsupported, "a capture in global mode does not allow this call")
             : cudaSuccess;
}

cudaError_t Driver::enqueue(cudaStream_t handle, Work work) {
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (auto* const capture = capture_of(*stream)) {
    if (capture->invalidated) return cudaErrorStreamCaptureInvalidated;
    capture->graph.nodes.push_back({std::move(work), stream->nodes});
    stream->nodes = {capture->graph.nodes.size() - 1};
    return cudaSuccess;
  }
  stream->last = backlog_.add(std::move(work), {stream->last});
  return cudaSuccess;
}

// ------------------------------------------------------------------------------------------------ streams

cudaError_t Driver::create_stream(cudaStream_t* stream) {
  if (!stream) return cudaErrorInvalidValue;
  *stream = streams_.add({});
  return cudaSuccess;
}

cudaError_t Driver::refuse_captured(const Position& at, cudaError_t error, std::string_view words) {
  if (!at.capture) return cudaSuccess;
  invalidate(at);
  return refuse(error, "{}", words);
}

cudaError_t Driver::destroy_stream(cudaStream_t handle) {
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (const auto error = refuse_captured(*stream, cudaErrorStreamCaptureUnsupported,
                                         "a stream is destroyed during its capture"))
    return error;
  streams_.erase(handle);
  return cudaSuccess;
}

cudaError_t Driver::synchronize_stream(cudaStream_t handle) {
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (const auto error = refuse_captured(*stream, cudaErrorStreamCaptureUnsupported,
                                         "a stream is synchronised during its capture"))
    return error;
  if (const auto error = disturb_captures()) return error;
  backlog_.finish(stream->last);
  return cudaSuccess;
}

cudaError_t Driver::query_stream(cudaStream_t handle) {
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (const auto error = refuse_captured(*stream, cudaErrorStreamCaptureUnsupported,
                                         "a stream is queried during its capture"))
    return error;
  if (const auto error = disturb_captures()) return error;
  return backlog_.is_done(stream->last) ? cudaSuccess : cudaErrorNotReady;
}

// ------------------------------------------------------------------------------------------------- events

cudaError_t Driver::create_event(cudaEvent_t* event, unsigned flags) {
  if (!event) return cudaErrorInvalidValue;
  *event = events_.add({{}, flags != cudaEventDisableTiming, nullptr});
  return cudaSuccess;
}

cudaError_t Driver::destroy_event(cudaEvent_t handle) {
  return events_.erase(handle) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t Driver::record_event(cudaEvent_t event_handle, cudaStream_t handle) {
  auto* const stream = streams_.find(handle);
  auto* const event = events_.find(event_handle);
  if (!stream || !event) return cudaErrorInvalidResourceHandle;
  if (const auto* const capture = capture_of(*stream)) {
    if (capture->invalidated) return cudaErrorStreamCaptureInvalidated;
  } else {
    event->reached = std::make_shared<std::uint64_t>();
    const auto reach = [this, reached = event->reached] { *reached = backlog_.ran(); };
    stream->last = backlog_.add(reach, {stream->last});
  }
  static_cast<Position&>(*event) = *stream;
  return cudaSuccess;
}

cudaError_t Driver::wait_event(cudaStream_t handle, cudaEvent_t event_handle) {
  auto* const stream = streams_.find(handle);
  const auto* const event = events_.find(event_handle);
  if (!stream || !event) return cudaErrorInvalidResourceHandle;
  auto* const capture = capture_of(*stream);
  if (capture && capture->invalidated) return cudaErrorStreamCaptureInvalidated;
  if (event->capture) {
    const auto* const captured = capture_of(*event);
    if (!captured)
      return refuse(cudaErrorCapturedEvent, "the event was recorded in a capture that has ended");
    if (captured->invalidated) return cudaErrorStreamCaptureInvalidated;
    if (capture && captured != capture) {
      invalidate(*stream);
      invalidate(*event);
      return refuse(cudaErrorStreamCaptureMerge, "the event belongs to another capture");
    }
    stream->capture = event->capture;
    for (const auto node : event->nodes)
      if (std::ranges::find(stream->nodes, node) == stream->nodes.end()) stream->nodes.push_back(node);
    return cudaSuccess;
  }
  if (event->last == 0) return cudaSuccess;  // never recorded
  if (capture) {
    invalidate(*stream);
    return refuse(cudaErrorStreamCaptureIsolation, "a captured stream waits for an event from outside");
  }
  stream->last = backlog_.add(do_nothing, {stream->last, event->last});
  return cudaSuccess;
}

cudaError_t Driver::synchronize_event(cudaEvent_t handle) {
  const auto* const event = events_.find(handle);
  if (!event) return cudaErrorInvalidResourceHandle;
  if (const auto error =
          refuse_captured(*event, cudaErrorCapturedEvent, "the event was last recorded in a capture"))
    return error;
  if (const auto error = disturb_captures()) return error;
  backlog_.finish(event->last);
  return cudaSuccess;
}

cudaError_t Driver::query_event(cudaEvent_t handle) {
  const auto* const event = events_.find(handle);
  if (!event) return cudaErrorInvalidResourceHandle;
  if (const auto error =
          refuse_captured(*event, cudaErrorCapturedEvent, "the event was last recorded in a capture"))
    return error;
  if (const auto error = disturb_captures()) return error;
  return backlog_.is_done(event->last) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t Driver::elapsed_time(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (!milliseconds) return cudaErrorInvalidValue;
  const auto* const begin = events_.find(from);
  const auto* const end = events_.find(to);
  if (!begin || !end || !begin->timed || !end->timed || !begin->reached || !end->reached)
    return cudaErrorInvalidResourceHandle;
  for (const auto* const event : {begin, end})
    if (const auto error =
            refuse_captured(*event, cudaErrorCapturedEvent, "the event was last recorded in a capture"))
      return error;
  if (!backlog_.is_done(begin->last) || !backlog_.is_done(end->last)) return cudaErrorNotReady;
  *milliseconds = static_cast<float>(*end->reached) - static_cast<float>(*begin->reached);
  return cudaSuccess;
}

// ----------------------------------------------------------------------------------------------- captures

cudaError_t Driver::begin_capture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (mode != cudaStreamCaptureModeGlobal && mode != cudaStreamCaptureModeRelaxed)
    return refuse(cudaErrorNotSupported, "simt captures in global or relaxed mode");
  if (stream->capture) return refuse(cudaErrorIllegalState, "the stream is being captured");
  captures_[++captured_] = {.mode = mode, .origin = handle};
  stream->capture = captured_;
  stream->nodes.clear();
  return cudaSuccess;
}

cudaError_t Driver::end_capture(cudaStream_t handle, cudaGraph_t* graph) {
  if (!graph) return cudaErrorInvalidValue;
  *graph = nullptr;
  auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (!stream->capture) return refuse(cudaErrorIllegalState, "the stream is not being captured");
  if (capture_of(*stream)->origin != handle) {
    invalidate(*stream);
    return refuse(cudaErrorStreamCaptureUnmatched, "the capture began on another stream");
  }
  const auto ending = stream->capture;
  const auto ends = stream->nodes;
  const auto capture = captures_.extract(ending);
  for (auto& [other, position] : streams_.all())
    if (position.capture == ending) {
      position.capture = 0;
      position.nodes.clear();
    }
  const auto& nodes = capture.mapped().graph.nodes;
  if (capture.mapped().invalidated) return cudaErrorStreamCaptureInvalidated;

  std::vector<bool> joined(nodes.size());
  for (const auto end : ends) joined[end] = true;
  for (auto i = nodes.size(); i-- > 0;)  // nodes come after those that they wait for
    if (joined[i])
      for (const auto before : nodes[i].after) joined[before] = true;
  if (const auto lost = std::ranges::count(joined, false))
    return refuse(cudaErrorStreamCaptureUnjoined, "the stream waits for {} of {} captured operations only",
                  static_cast<std::ptrdiff_t>(nodes.size()) - lost, nodes.size());
  *graph = graphs_.add(std::make_shared<const Graph>(capture.mapped().graph));
  return cudaSuccess;
}

cudaError_t Driver::is_capturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const auto* const stream = streams_.find(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  const auto* const capture = capture_of(*stream);
  *status = !capture               ? cudaStreamCaptureStatusNone
            : capture->invalidated ? cudaStreamCaptureStatusInvalidated
                                   : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

// ------------------------------------------------------------------------------------------------- graphs

cudaError_t Driver::instantiate(cudaGraphExec_t* executable, cudaGraph_t handle) {
  if (!executable) return cudaErrorInvalidValue;
  const auto* const graph = graphs_.find(handle);
  if (!graph) return cudaErrorInvalidResourceHandle;
  *executable = executables_.add({.graph = *graph});
  return cudaSuccess;
}

cudaError_t Driver::launch_graph(cudaGraphExec_t executable_handle, cudaStream_t handle) {
  auto* const stream = streams_.find(handle);
  auto* const executable = executables_.find(executable_handle);
  if (!stream || !executable) return cudaErrorInvalidResourceHandle;
  if (const auto error = refuse_captured(*stream, cudaErrorNotSupported, "simt captures no graph launches"))
    return error;
  const auto begin = backlog_.add(do_nothing, {stream->last, executable->last});
  std::vector<Backlog::Id> queued;
  for (const auto& node : executable->graph->nodes) {
    std::vector<Backlog::Id> after{begin};
    for (const auto before : node.after) after.push_back(queued[before]);
    queued.push_back(backlog_.add(node.work, after));
  }
  queued.push_back(begin);
  stream->last = executable->last = backlog_.add(do_nothing, queued);
  return cudaSuccess;
}

cudaError_t Driver::destroy_executable(cudaGraphExec_t handle) {
  return executables_.erase(handle) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t Driver::destroy_graph(cudaGraph_t handle) {
  return graphs_.erase(handle) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

}  // namespace scrawl::simt
