/// Which device a name opens, and what is said where it opens none.

#include "runtime/device/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device/cpu.h"
#include "runtime/device/driver_release.h"
#include "runtime/device/ranges.h"

namespace scrawl {
namespace {

using enum DeviceKind::Automatic;
using testing::HasSubstr;

std::string nothing() { return ""; }
std::string no_driver() { return "no driver"; }
std::string not_built() { return "not in this build"; }
std::unique_ptr<Device> open_none(const DeviceOptions& options) {
  throw DeviceError("device {}: no driver", options.device);
}

constexpr DeviceKind usable{"cpu", yes, nothing, cpu::open_device, cpu::summary};
constexpr DeviceKind absent{"cuda", yes, not_built, nullptr, nullptr};
constexpr DeviceKind broken{"cuda", yes, no_driver, open_none, nullptr};
constexpr DeviceKind only_by_name{"simt", no, nothing, open_none, nullptr};

struct Opened {
  std::string name, warnings, error;
};

Opened open(const std::string& name, const std::vector<DeviceKind>& kinds) {
  Opened opened;
  testing::internal::CaptureStderr();
  try {
    opened.name = open_device({.device = name}, kinds)->name();
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.code(), ExitCode::device);
    opened.error = error.what();
  }
  opened.warnings = testing::internal::GetCapturedStderr();
  return opened;
}

TEST(open_device, takes_the_first_that_is_usable_and_says_nothing_of_what_the_build_lacks) {
  const auto opened = open("auto", {absent, usable});
  EXPECT_EQ(opened.name, "cpu");
  EXPECT_EQ(opened.warnings, "");
}

TEST(open_device, warns_once_of_what_the_build_has_and_cannot_use) {
  const auto opened = open("auto", {broken, usable});
  EXPECT_EQ(opened.name, "cpu");
  EXPECT_EQ(opened.warnings, "warning: cuda is not used: no driver\n");
}

TEST(open_device, never_takes_simt_by_itself) {
  EXPECT_EQ(open("auto", {only_by_name, usable}).name, "cpu");
  EXPECT_THAT(open("auto", {only_by_name}).error, HasSubstr("none of simt is usable"));
}

TEST(open_device, a_device_that_is_named_is_never_replaced) {
  EXPECT_EQ(open("cuda", {broken, usable}).error, "device cuda: no driver");
  EXPECT_EQ(open("cuda", {absent, usable}).error, "device cuda: not in this build");
  EXPECT_EQ(open("cpu", {broken, usable}).name, "cpu");
  EXPECT_EQ(open("cpu", {broken, usable}).warnings, "");
}

TEST(open_device, names_what_there_is) {
  EXPECT_EQ(open("gpu", {absent, usable, only_by_name}).error,
            "device: expected auto, cuda, cpu or simt, got gpu");
}

TEST(open_device, counts_of_threads_are_checked_on_every_device) {
  for (const int threads : {-1, 1025})
    EXPECT_THROW(open_device({.device = "cpu", .threads = threads}), UsageError) << threads;
  EXPECT_EQ(open_device({.device = "cpu", .threads = 3})->selection().threads, 3);
}

TEST(list_devices, names_all_three_with_what_they_are_or_lack) {
  const auto devices = list_devices();
  ASSERT_EQ(devices.size(), 3u);
  EXPECT_EQ(devices[0].name, "cpu");
  EXPECT_EQ(devices[1].name, "cuda");
  EXPECT_EQ(devices[2].name, "simt");
  EXPECT_EQ(devices[0].unusable, "");
  for (const auto& device : devices)
    EXPECT_NE(device.unusable.empty(), device.hardware.empty()) << device.name;
}

TEST(list_libraries, names_each_with_its_use_and_its_version_or_what_it_lacks) {
  for (const auto& library : list_libraries()) {
    EXPECT_NE(library.used_for, "") << library.name;
    EXPECT_NE(library.version.empty(), library.unusable.empty()) << library.name;
  }
}

TEST(driver_release, is_found_in_what_the_kernel_module_says) {
  EXPECT_EQ(driver_release("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 "
                           "UTC 2024\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"),
            "550.54.15");
  EXPECT_EQ(
      driver_release("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build "
                     " (root@host)  Sun Jul 27 06:54:38 UTC 2025\n"),
      "580.65.06");
  EXPECT_EQ(driver_release(""), "");
  EXPECT_EQ(driver_release("GCC version:  gcc version 12.2.0 (Debian)\n"), "");
}

/// As in every program but those that a profiler starts.
TEST(range, does_nothing_without_a_profiler) {
  EXPECT_FALSE(is_profiled());
  const Range range("nobody sees it");
  name_stream(nullptr, "nor its name");
}

}  // namespace
}  // namespace scrawl
