#include "bench/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/error.h"
#include "runtime/io/cpuinfo.h"
#include "runtime/io/file.h"

namespace scrawl::bench {
namespace {

using Json = nlohmann::ordered_json;

/// Of a command's output; "" without any.
std::string first_line(const char* command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command, "r"), pclose);
  char line[256] = "";
  if (!output || !std::fgets(line, sizeof line, output.get())) return "";
  return std::string(line, std::string_view(line).find_first_of("\n"));
}

/// Of the source tree that this program was built in, which is the one it lies in; an installed one has none.
std::string commit() {
  namespace fs = std::filesystem;
  if (const char* const known = std::getenv("SCRAWL_COMMIT")) return known;
  std::error_code nowhere;
  for (auto folder = fs::read_symlink("/proc/self/exe", nowhere).parent_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    if (!fs::exists(folder / ".git", nowhere) || !fs::exists(folder / "bench/report.cpp", nowhere)) continue;
    const auto line =
        first_line(fmt::format("git -C '{}' describe --always --dirty 2>/dev/null", folder.string()).c_str());
    return line.empty() ? "unknown" : line;
  }
  return "unknown";
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const Summary& s) {
  return {{"median", s.median}, {"p10", s.p10}, {"p90", s.p90}, {"mad", s.mad}, {"samples", s.samples}};
}

Json json_of(const Header& h) {
  Json ceilings = Json::object();
  for (const auto& [name, ceiling] : h.ceilings)
    ceilings[name] = {{"per_second", ceiling.per_second}, {"by", ceiling.by}};
  return {{"machine", h.machine},
          {"cpu", h.cpu},
          {"gpu", or_null(h.gpu)},
          {"clocks", h.clocks},
          {"driver", or_null(h.driver)},
          {"load", h.load},
          {"flushed_bytes", h.flushed_bytes},
          {"libraries", h.libraries},
          {"ceilings", ceilings},
          {"commit", h.commit},
          {"date", h.date},
          {"command", h.command}};
}

Json json_of(const Search& s) {
  return {{"plans", s.plans},
          {"refused", s.refused},
          {"tried", s.tried},
          {"wrong", s.wrong},
          {"failed", s.failed},
          {"cut_short", s.is_cut_short},
          {"unavailable", s.unavailable.empty() ? Json(nullptr) : Json(s.unavailable)}};
}

Json peers_of(const Row& row) {
  Json peers = Json::array();
  for (const auto& peer : row.timing.all)
    peers.push_back({{"name", peer.name}, {"us", json_of(peer.us)}, {"ratio", json_of(peer.ratio)}});
  return peers;
}

std::optional<double> percent_of(const Row& row) {
  if (!row.ceilings || row.timing.ours.samples == 0) return std::nullopt;
  return percent_of_limit(row.cost, *row.ceilings, row.timing.ours.median);
}

Json json_of(const Row& row) {
  const bool has_peer = !row.timing.peer.empty();
  const Summary& us = row.timing.ours;
  const auto rate = [&](double work, double unit) {
    return us.samples > 0 && work > 0 ? Json(work / us.median * unit) : Json(nullptr);
  };
  return {{"name", row.name},
          {"device", row.device},
          {"variant", row.variant},
          {"type", row.type},
          {"cache", row.cache == Cache::cold ? "cold" : "hot"},
          {"us", us.samples > 0 ? json_of(us) : Json(nullptr)},
          {"counts", row.counts},
          {"flops", row.cost.flops},
          {"bytes", row.cost.bytes},
          {"tflop_per_s", rate(row.cost.flops, 1e-6)},
          {"gb_per_s", rate(row.cost.bytes, 1e-3)},
          {"percent_of_limit", or_null(percent_of(row))},
          {"peer", has_peer ? Json(row.timing.peer) : Json(nullptr)},
          {"peer_us", has_peer ? json_of(row.timing.peer_us) : Json(nullptr)},
          {"ratio", has_peer ? json_of(row.timing.ratio) : Json(nullptr)},
          {"peers", peers_of(row)},
          {"search", row.search ? json_of(*row.search) : Json(nullptr)},
          {"passed", or_null(row.passed)},
          {"wrong", row.wrong.empty() ? Json(nullptr) : Json(row.wrong)},
          {"refused", row.refused.empty() ? Json(nullptr) : Json(row.refused)}};
}

}  // namespace

Header describe_host(std::span<const char* const> command_line) {
  utsname system{};
  uname(&system);
  double load = 0;
  getloadavg(&load, 1);
  return {.machine = fmt::format("{} {}, {} CPUs", system.sysname, system.machine,
                                 std::thread::hardware_concurrency()),
          .cpu = cpuinfo("model name"),
          .clocks = cpuinfo("cpu MHz") + " MHz",
          .load = load,
          .flushed_bytes = cold_bytes(),
          .commit = commit(),
          .date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))),
          .command = fmt::format("{}", fmt::join(command_line, " "))};
}

void describe_gpu(Header& header) {
  const auto ask = [](std::string_view what) {
    return first_line(
        fmt::format("nvidia-smi --id=0 --format=csv,noheader --query-gpu={} 2>/dev/null", what).c_str());
  };
  header.gpu = ask("name");
  if (header.gpu->empty()) throw DeviceError("nvidia-smi: expected the name of a GPU, got none");
  header.driver = ask("driver_version");
  header.clocks = ask("clocks.sm,clocks.mem");
}

double percent_of_limit(const Cost& cost, const Ceilings& ceilings, double us) {
  const double seconds =
      std::max(cost.flops / ceilings.flops_per_second, cost.bytes / ceilings.bytes_per_second);
  return 100 * seconds * 1e6 / us;
}

std::string to_json(const Report& report) {
  Json rows = Json::array();
  for (const Row& row : report.rows) rows.push_back(json_of(row));
  return Json{{"header", json_of(report.header)}, {"rows", rows}}.dump(1) + "\n";
}

std::string to_table(std::span<const Row> rows) {
  const auto cell = [](bool known, double value, int digits) {
    return known ? fmt::format("{:.{}f}", value, digits) : std::string("-");
  };
  std::string table = fmt::format("{:>12} {:>25} {:>9} {:>8} {:>7} {:>7}  {}\n", "us", "[p10, p90]",
                                  "TFLOP/s", "GB/s", "% limit", "x peer", "name");
  for (const Row& row : rows) {
    const Summary& us = row.timing.ours;
    const auto percent = percent_of(row);
    const bool has_peer = !row.timing.peer.empty();
    table += fmt::format("{:>12.2f} {:>25} {:>9} {:>8} {:>7} {:>7}  {}{}{}\n", us.median,
                         fmt::format("[{:.2f}, {:.2f}]", us.p10, us.p90),
                         cell(row.cost.flops > 0, row.cost.flops / us.median * 1e-6, 3),
                         cell(row.cost.bytes > 0, row.cost.bytes / us.median * 1e-3, 1),
                         cell(percent.has_value(), percent.value_or(0), 1),
                         cell(has_peer, row.timing.ratio.median, 2), row.name,
                         has_peer ? " vs " + row.timing.peer : "",
                         row.passed.has_value() && !*row.passed ? "  FAILED" : "");
  }
  return table;
}

void write_report(const std::filesystem::path& path, const Report& report) {
  write_file_atomically(path, to_json(report));
}

}  // namespace scrawl::bench
