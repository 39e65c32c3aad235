/// A profiler as NVTX sees one: the library that NVTX_INJECTION64_PATH names. It appends what it is told to
/// the file that NVTX_RECORD names, a line each: "push DOMAIN NAME", "pop DOMAIN", "stream HANDLE NAME", the
/// thread before it.
///
/// NVTX's header stays where CUDA's may be included, so what is used of its binary interface (version 2,
/// which it keeps) is said again here.

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

namespace {

struct EventAttributes {
  std::uint16_t version, size;
  std::uint32_t category;
  std::int32_t color_type;
  std::uint32_t color;
  std::int32_t payload_type, reserved;
  std::uint64_t payload;
  std::int32_t message_type;
  const char* message;
};
static_assert(sizeof(EventAttributes) == 48);

using Slot = void (**)();
struct Callbacks {
  std::size_t size;
  int (*slots)(int module, Slot** table, unsigned* count);
};
constexpr std::uint32_t callbacks_table = 1;
constexpr int module_cudart = 4, module_core2 = 5;
constexpr unsigned range_push = 4, range_pop = 5, domain_create = 12, name_stream = 3;

void write(const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const char* const path = std::getenv("NVTX_RECORD");
  std::FILE* const file = path ? std::fopen(path, "a") : nullptr;
  if (!file) return;
  std::fprintf(file, "%d %s\n", gettid(), line.c_str());
  std::fclose(file);
}

// A domain's handle is its name, kept.

const std::string& name_of(void* domain) { return *static_cast<const std::string*>(domain); }

void* create_domain(const char* name) {
  static std::set<std::string> names;
  return const_cast<std::string*>(&*names.insert(name).first);
}

int push(void* domain, const EventAttributes* event) {
  constexpr std::int32_t ascii = 1;
  const bool has_name = event->size >= sizeof *event && event->message_type == ascii;
  write("push " + name_of(domain) + " " + (has_name ? event->message : "?"));
  return 0;
}

int pop(void* domain) {
  write("pop " + name_of(domain));
  return 0;
}

void stream_is_named(void* stream, const char* name) {
  write("stream " + std::to_string(reinterpret_cast<std::uintptr_t>(stream)) + " " + name);
}

template <class Function>
bool fill(const Callbacks& callbacks, int module, unsigned id, Function* function) {
  Slot* table = nullptr;
  unsigned count = 0;
  if (callbacks.slots(module, &table, &count) == 0 || id >= count) return false;
  *table[id] = reinterpret_cast<void (*)()>(function);
  return true;
}

}  // namespace

extern "C" int InitializeInjectionNvtx2(const void* (*export_table)(std::uint32_t)) {
  const auto* const callbacks = static_cast<const Callbacks*>(export_table(callbacks_table));
  return callbacks && fill(*callbacks, module_core2, domain_create, create_domain) &&
         fill(*callbacks, module_core2, range_push, push) && fill(*callbacks, module_core2, range_pop, pop) &&
         fill(*callbacks, module_cudart, name_stream, stream_is_named);
}
