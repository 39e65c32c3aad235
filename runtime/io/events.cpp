#include "runtime/io/events.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <string>
#include <utility>

namespace scrawl {
namespace {

static_assert(std::endian::native == std::endian::little, "event files are little-endian");

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1u ? 0x82f63b78u : 0u);
    table[i] = crc;
  }
  return table;
}

// Rotated and offset, so that the checksum of data that holds checksums stays strong.
std::uint32_t masked_crc32c(std::string_view text) {
  return std::rotr(crc32c(std::as_bytes(std::span(text))), 15) + 0xa282ead8u;
}

template <class T>
void append_raw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Protobuf's wire format; field numbers are those of event.proto and summary.proto.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

void append_key(std::string& out, unsigned field, Wire wire) {
  append_varint(out, field << 3 | static_cast<unsigned>(wire));
}

void append_integer(std::string& out, unsigned field, std::int64_t value) {
  append_key(out, field, Wire::varint);
  append_varint(out, static_cast<std::uint64_t>(value));
}

void append_bytes(std::string& out, unsigned field, std::string_view bytes) {
  append_key(out, field, Wire::bytes);
  append_varint(out, bytes.size());
  out += bytes;
}

/// Event{wall_time = 1, step = 2}; as in every protobuf, zero is the default and left out.
std::string begin_event(double wall_time, std::int64_t step) {
  std::string event;
  append_key(event, 1, Wire::fixed64);
  append_raw(event, wall_time);
  if (step != 0) append_integer(event, 2, step);
  return event;
}

std::string version_event(double wall_time) {
  auto event = begin_event(wall_time, 0);
  append_bytes(event, 3, "brain.Event:2");  // file_version
  return event;
}

/// Event{session_log = 7: SessionLog{status = 1: START = 1}}
std::string restart_event(double wall_time, std::int64_t first_step) {
  std::string session;
  append_integer(session, 1, 1);
  auto event = begin_event(wall_time, first_step);
  append_bytes(event, 7, session);
  return event;
}

/// Event{summary = 5: Summary{value = 1: Value{tag = 1, simple_value = 2}}}
std::string scalar_event(double wall_time, std::int64_t step, std::string_view tag, float value) {
  std::string point;
  append_bytes(point, 1, tag);
  append_key(point, 2, Wire::fixed32);
  append_raw(point, value);
  std::string summary;
  append_bytes(summary, 1, point);
  auto event = begin_event(wall_time, step);
  append_bytes(event, 5, summary);
  return event;
}

double system_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::filesystem::path new_name(double seconds) {
  static std::atomic<int> files = 0;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("events.out.tfevents.{:010d}.{}.{}.{}", static_cast<std::int64_t>(seconds), host.data(),
                     ::getpid(), files++);
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  static constexpr auto table = make_crc_table();
  std::uint32_t crc = ~0u;
  for (const auto byte : bytes)
    crc = (crc >> 8) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xffu];
  return ~crc;
}

EventWriter::EventWriter(const std::filesystem::path& folder, Options options)
    : clock_(options.clock ? std::move(options.clock) : system_seconds),
      path_(folder / new_name(clock_())),
      file_(path_) {
  append(version_event(clock_()));
  if (options.resumed_step) append(restart_event(clock_(), *options.resumed_step + 1));
}

void EventWriter::scalar(std::string_view tag, std::int64_t step, float value) {
  append(scalar_event(clock_(), step, tag, value));
}

void EventWriter::append(std::string_view event) {
  std::string record;
  append_raw(record, static_cast<std::uint64_t>(event.size()));
  append_raw(record, masked_crc32c(record));
  record += event;
  append_raw(record, masked_crc32c(event));
  file_.write(record);
}

}  // namespace scrawl
