#pragma once
/// TensorBoard event files: scalars over steps.
///
/// A file is a sequence of TFRecords (u64 length, masked CRC-32C of the length, payload, masked CRC-32C of
/// the payload), each payload an Event protobuf; the first one says file_version "brain.Event:2". Source:
/// tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "runtime/io/file.h"

namespace scrawl {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as in RFC 3720, appendix B.4.
std::uint32_t crc32c(std::span<const std::byte> bytes);

class EventWriter {
 public:
  struct Options {
    /// Training restarts after this step: TensorBoard forgets the later points of earlier files.
    std::optional<std::int64_t> resumed_step;
    /// Seconds since 1970; the system clock where empty.
    std::function<double()> clock;
  };

  /// Creates `folder`/events.out.tfevents.<seconds>.<host>.<pid>.<n>. Throws WriteError.
  explicit EventWriter(const std::filesystem::path& folder, Options options = {});

  /// One point of the curve `tag`, in the file when the call returns. Throws WriteError.
  void scalar(std::string_view tag, std::int64_t step, float value);

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(std::string_view event);

  std::function<double()> clock_;
  std::filesystem::path path_;
  OutputFile file_;
};

}  // namespace scrawl
