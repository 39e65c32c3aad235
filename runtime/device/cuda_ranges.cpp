#include "runtime/device/ranges.h"

#ifdef SCRAWL_HAS_NVTX
#include <nvtx3/nvToolsExt.h>
#endif
#ifdef SCRAWL_HAS_STREAM_NAMES
#include <nvtx3/nvToolsExtCudaRt.h>
#endif

namespace scrawl {

#ifdef SCRAWL_HAS_NVTX

namespace {

/// Null where no profiler gave one.
nvtxDomainHandle_t domain() {
  static const auto made = nvtxDomainCreateA("scrawl");
  return made;
}

}  // namespace

bool is_profiled() { return domain() != nullptr; }

Range::Range(const char* name) {
  if (!is_profiled()) return;
  nvtxEventAttributes_t event{};
  event.version = NVTX_VERSION;
  event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  event.messageType = NVTX_MESSAGE_TYPE_ASCII;
  event.message.ascii = name;
  nvtxDomainRangePushEx(domain(), &event);
}

Range::~Range() {
  if (is_profiled()) nvtxDomainRangePop(domain());
}

std::string ranges_version() { return std::to_string(NVTX_VERSION); }

#else

bool is_profiled() { return false; }
Range::Range(const char*) {}
Range::~Range() = default;
std::string ranges_version() { return ""; }

#endif

#ifdef SCRAWL_HAS_STREAM_NAMES
void name_stream(Stream stream, const char* name) {
  nvtxNameCudaStreamA(reinterpret_cast<cudaStream_t>(stream), name);
}
#else
void name_stream(Stream, const char*) {}
#endif

}  // namespace scrawl
