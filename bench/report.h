#pragma once
/// What a measurement leaves behind: one JSON schema (FORMATS: "Benchmark results"; bench/peers writes it
/// too) and one text table.

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/measure.h"

namespace scrawl::bench {

/// A measured rate of the device, and what reached it.
struct Ceiling {
  double per_second = 0;  ///< FLOPs, or bytes read and written
  std::string by;
};

/// Under what circumstances the rows were measured.
struct Header {
  std::string machine;  ///< system, architecture, CPUs
  std::string cpu;      ///< model name
  std::optional<std::string> gpu;
  std::string clocks;  ///< as the system reports them now
  std::optional<std::string> driver;
  double load = 0;  ///< load average of the last minute: above the threads used, others were running
  std::size_t flushed_bytes = 0;                 ///< before each cold sample
  std::map<std::string, std::string> libraries;  ///< name -> version
  std::map<std::string, Ceiling> ceilings;       ///< "copy", and FLOPs by type: "bf16"
  std::string commit;  ///< SCRAWL_COMMIT, or of the working tree, "-dirty" appended if so
  std::string date;    ///< UTC, ISO 8601
  std::string command;
};

/// Describes this machine, this moment and this source tree. The caller adds GPU, driver and libraries.
Header describe_host(std::span<const char* const> command_line);

/// Adds name, driver and clocks of the first NVIDIA GPU, as nvidia-smi tells them. Throws DeviceError.
void describe_gpu(Header&);

/// What the work must do at least: the limit is the larger of both terms over the device's measured ceilings.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

/// Measured rates of a device.
struct Ceilings {
  double flops_per_second = 0;
  double bytes_per_second = 0;
};

/// 100 * (least possible time) / us.
double percent_of_limit(const Cost&, const Ceilings&, double us);

/// How the vendor's fastest way was found.
struct Search {
  int plans = 0;                 ///< that its library names
  int refused = 0;               ///< of these, not to be had
  int tried = 0;                 ///< run, and compared
  int wrong = 0, failed = 0;     ///< of those tried; neither is a peer
  bool is_cut_short = false;     ///< no time was left for the others
  std::string unavailable = {};  ///< why there was nothing to search
};

/// One measurement. `name` is its own repro: `conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,bf16]`.
struct Row {
  std::string name;
  std::string device;   ///< cpu, cuda, simt
  std::string variant;  ///< the implementation that ran
  std::string type;     ///< f32, tf32, bf16, f16
  Cache cache = Cache::hot;
  Comparison timing;
  Cost cost;
  std::optional<Ceilings> ceilings;
  /// Whether a bar was met, or the outputs are right; absent where nothing is asked.
  std::optional<bool> passed;
  std::string wrong = {};                       ///< what is wrong with the outputs: then nothing was timed
  std::string refused = {};                     ///< why a vendor's variant cannot be had: likewise
  std::optional<Search> search = std::nullopt;  ///< of the peer
  std::map<std::string, std::uint64_t> counts = {};  ///< in place of times where these mean nothing: simt
};

struct Report {
  Header header;
  std::vector<Row> rows;
};

std::string to_json(const Report&);
std::string to_table(std::span<const Row>);  ///< us [p10, p90], TFLOP/s, GB/s, % of the limit, x peer

/// Writes to_json() whole or not at all. Throws WriteError.
void write_report(const std::filesystem::path&, const Report&);

}  // namespace scrawl::bench
