#include "bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "bench/read_report.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

using testing::HasSubstr;

Summary flat(double us) { return {.median = us, .p10 = us, .p90 = us, .mad = 0, .samples = 5}; }

Row with_peer() {
  return {.name = "gemm[M=8,N=8,K=8,f32]",
          .device = "cpu",
          .variant = "onednn",
          .type = "f32",
          .cache = Cache::cold,
          .timing = {.ours = flat(2), .peer = "pytorch", .peer_us = flat(3), .ratio = flat(1.5)},
          .cost = {.flops = 1e6, .bytes = 4e3},
          .ceilings = Ceilings{.flops_per_second = 1e12, .bytes_per_second = 1e9},
          .passed = false};
}

TEST(report, json_holds_every_field_of_the_schema) {
  const Report report{.header = {.machine = "m", .commit = "abc", .command = "bench gemm"},
                      .rows = {with_peer()}};
  const auto json = nlohmann::json::parse(to_json(report));
  for (const char* field : {"machine", "cpu", "gpu", "clocks", "driver", "load", "flushed_bytes", "libraries",
                            "commit", "date", "command"}) {
    EXPECT_TRUE(json["header"].contains(field)) << field;
  }
  const auto& row = json["rows"][0];
  EXPECT_EQ(row["name"], "gemm[M=8,N=8,K=8,f32]");
  EXPECT_EQ(row["cache"], "cold");
  EXPECT_EQ(row["us"]["median"], 2);
  EXPECT_EQ(row["us"]["samples"], 5);
  EXPECT_DOUBLE_EQ(row["percent_of_limit"], 200);  // 4 kB at 1 GB/s: 4 us, the larger term
  EXPECT_EQ(row["peer"], "pytorch");
  EXPECT_EQ(row["peer_us"]["median"], 3);
  EXPECT_EQ(row["ratio"]["median"], 1.5);
  EXPECT_EQ(row["passed"], false);
}

TEST(report, what_was_not_measured_is_null) {
  const Report report{.rows = {{.name = "x[]", .timing = {.ours = flat(1)}}}};
  const auto row = nlohmann::json::parse(to_json(report))["rows"][0];
  for (const char* field : {"percent_of_limit", "peer", "peer_us", "ratio", "passed"}) {
    EXPECT_TRUE(row.at(field).is_null()) << field;
  }
}

TEST(report, json_holds_every_peer_and_how_it_was_found) {
  auto row = with_peer();
  row.timing.all = {{"standard bf16", flat(9), flat(4.5)}, {"persistent f16", flat(3), flat(1.5)}};
  row.search = Search{.plans = 20, .refused = 8, .tried = 11, .wrong = 1, .failed = 2, .is_cut_short = true};
  const Report report{.rows = {row, {.name = "x[]", .refused = "it is not to be had"}}};
  const auto rows = nlohmann::json::parse(to_json(report))["rows"];
  ASSERT_EQ(rows[0]["peers"].size(), 2u);
  EXPECT_EQ(rows[0]["peers"][0]["name"], "standard bf16");
  EXPECT_EQ(rows[0]["peers"][0]["us"]["median"], 9);
  EXPECT_EQ(rows[0]["peers"][1]["ratio"]["median"], 1.5);
  EXPECT_EQ(rows[0]["search"], nlohmann::json::parse(R"({"plans": 20, "refused": 8, "tried": 11, "wrong": 1,
                                                         "failed": 2, "cut_short": true, "unavailable": null})"));
  EXPECT_TRUE(rows[0]["refused"].is_null());
  EXPECT_TRUE(rows[1]["peers"].empty());
  EXPECT_TRUE(rows[1]["search"].is_null());
  EXPECT_EQ(rows[1]["refused"], "it is not to be had");
}

TEST(report, limit_is_the_larger_of_arithmetic_and_bytes) {
  const Ceilings ceilings{.flops_per_second = 1e12, .bytes_per_second = 1e9};
  EXPECT_DOUBLE_EQ(percent_of_limit({.flops = 1e7, .bytes = 1e3}, ceilings, 20), 50);
  EXPECT_DOUBLE_EQ(percent_of_limit({.flops = 1e3, .bytes = 1e4}, ceilings, 20), 50);
}

TEST(report, table_shows_rates_and_ratio_and_failed_bars) {
  const Row rows[] = {with_peer()};
  const std::string table = to_table(rows);
  EXPECT_THAT(table, HasSubstr("0.500"));  // TFLOP/s
  EXPECT_THAT(table, HasSubstr("2.0"));    // GB/s
  EXPECT_THAT(table, HasSubstr("1.50"));
  EXPECT_THAT(table, HasSubstr("gemm[M=8,N=8,K=8,f32] vs pytorch  FAILED"));
}

TEST(report, header_describes_this_machine) {
  const char* const command[] = {"scrawl", "bench"};
  const Header header = describe_host(command);
  EXPECT_EQ(header.command, "scrawl bench");
  EXPECT_THAT(header.machine, HasSubstr("CPUs"));
  EXPECT_FALSE(header.commit.empty());
  EXPECT_EQ(header.date.size(), std::string("2026-01-01T00:00:00Z").size());
}

TEST(report, what_is_written_reads_back) {
  Row timed = with_peer();
  timed.timing.all = {{"pytorch", flat(3), flat(1.5)}, {"onednn", flat(4), flat(2)}};
  timed.search = Search{.plans = 20, .tried = 3, .is_cut_short = true, .unavailable = "no library"};
  Row counted{.name = "y[]", .device = "simt", .variant = "v", .type = "bf16", .passed = false};
  counted.wrong = "y: too far off";
  counted.counts = {{"lanes", 1ULL << 40}};
  Report report{.header = {.machine = "m", .cpu = "c", .commit = "abc", .command = "bench gemm"},
                .rows = {timed, counted}};
  report.header.gpu = "g";
  report.header.libraries = {{"cudnn", "9"}};
  report.header.ceilings = {{"f32", {1e12, "tiles"}}, {"copy", {1e9, "flat"}}};
  const auto path = std::filesystem::temp_directory_path() / fmt::format("report_test-{}.json", getpid());
  write_report(path, report);
  const auto back = to_json(read_report(path));
  std::filesystem::remove(path);
  EXPECT_EQ(back, to_json(report));
}

TEST(report, a_folder_that_does_not_exist_is_a_write_error) {
  EXPECT_THROW(write_report("/nonexistent/report.json", {}), WriteError);
}

}  // namespace
}  // namespace scrawl::bench
