/// Which device a name opens, and what is said where it opens none.

#include "runtime/device/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device/cpu.h"

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

}  // namespace
}  // namespace scrawl
