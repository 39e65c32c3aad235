#include "runtime/io/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <string_view>

#include "kernels/error.h"
#include "tests/io/messages.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

std::uint32_t crc_of(std::string_view text) { return crc32c(std::as_bytes(std::span(text))); }

TEST(events, crc32c_matches_the_published_vectors) {
  EXPECT_EQ(crc_of(""), 0u);
  EXPECT_EQ(crc_of("123456789"), 0xe3069283u);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  EXPECT_EQ(crc_of(ascending), 0x46dd794eu);
  EXPECT_EQ(crc_of(std::string(ascending.rbegin(), ascending.rend())), 0x113fdb5cu);
}

TEST(events, writes_byte_for_byte_what_tensorboard_writes) {
  const TemporaryFolder folder;
  const auto golden = std::filesystem::path(SCRAWL_SOURCE_DIR) / "tests/golden/io.tfevents";
  EXPECT_EQ(read_file(write_sample_events(folder.path())), read_file(golden));
}

TEST(events, file_names_are_those_that_tensorboard_looks_for_and_never_clash) {
  const TemporaryFolder folder;
  const auto clock = [] { return 1234567.9; };
  const EventWriter first(folder.path(), {.resumed_step = {}, .clock = clock});
  const EventWriter second(folder.path(), {.resumed_step = {}, .clock = clock});
  EXPECT_NE(first.path(), second.path());
  EXPECT_THAT(first.path().filename().string(), ::testing::StartsWith("events.out.tfevents.0001234567."));
}

TEST(events, a_point_is_in_the_file_when_the_call_returns) {
  const TemporaryFolder folder;
  EventWriter events(folder.path());
  const auto before = std::filesystem::file_size(events.path());
  events.scalar("loss", 1, 0.5f);
  EXPECT_GT(std::filesystem::file_size(events.path()), before);
}

TEST(events, a_folder_that_is_not_there_is_a_write_error) {
  const TemporaryFolder folder;
  EXPECT_MESSAGE(EventWriter(folder / "absent"), WriteError, "absent/events.out.tfevents.", "No such file");
}

}  // namespace
}  // namespace scrawl
