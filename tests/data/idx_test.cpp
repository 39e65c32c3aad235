#include "models/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "kernels/error.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::idx_bytes;
using testing::message_of;
using testing::TemporaryFolder;
using testing::write_text;

void write_gzip(const std::filesystem::path& path, std::string_view bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

/// Two images of 2 rows and 3 columns: 0 .. 5 and 6 .. 11.
const std::string two_images = idx_bytes({2, 2, 3}, std::string("\0\1\2\3\4\5\6\7\10\11\12\13", 12));

void write_set(const TemporaryFolder& folder, const std::string& prefix, const std::string& labels) {
  write_text(folder / (prefix + "train-images-idx3-ubyte"), two_images);
  write_text(folder / (prefix + "train-labels-idx1-ubyte"), idx_bytes({2}, labels));
}

TEST(idx, reads_plain_and_gzip_alike) {
  const TemporaryFolder folder;
  write_text(folder / "a", two_images);
  write_gzip(folder / "a.gz", two_images);
  for (const char* name : {"a", "a.gz"}) {
    const Idx idx = read_idx(folder / name);
    EXPECT_THAT(idx.shape, ElementsAre(2, 2, 3));
    EXPECT_THAT(idx.data, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  }
}

TEST(idx, truncated_gzip_is_a_data_error) {
  const TemporaryFolder folder;
  write_gzip(folder / "whole.gz", idx_bytes({300, 28, 28}, std::string(300 * 28 * 28, 'x')));
  const std::string whole = testing::read_text(folder / "whole.gz");
  // Cut within the data, and within the checksum behind them.
  for (const std::size_t size : {whole.size() / 2, whole.size() - 2}) {
    write_text(folder / "cut.gz", whole.substr(0, size));
    EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "cut.gz"); }), HasSubstr("cut.gz"));
  }
}

TEST(idx, damaged_gzip_is_a_data_error) {
  const TemporaryFolder folder;
  write_gzip(folder / "whole.gz", two_images);
  std::string bytes = testing::read_text(folder / "whole.gz");
  bytes[bytes.size() - 6] ^= 1;  // in the checksum
  write_text(folder / "bad.gz", bytes);
  EXPECT_THROW(read_idx(folder / "bad.gz"), DataError);
}

TEST(idx, a_wrong_magic_is_named) {
  const TemporaryFolder folder;
  for (const std::string& bytes :
       {std::string("\0\0\x0D\x03", 4), std::string("\0\0\x08\x04", 4), std::string("PK")}) {
    write_text(folder / "a", bytes);
    EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "a"); }), HasSubstr("expected the IDX magic"));
  }
}

TEST(idx, fewer_or_more_bytes_than_the_header_says_are_data_errors) {
  const TemporaryFolder folder;
  write_text(folder / "few", two_images.substr(0, two_images.size() - 1));
  EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "few"); }),
              HasSubstr("expected 12 bytes of data, got 11"));
  write_text(folder / "many", two_images + "x");
  EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "many"); }),
              HasSubstr("expected 12 bytes of data, got more"));
  write_text(folder / "header", two_images.substr(0, 7));
  EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "header"); }),
              HasSubstr("truncated within its header"));
}

TEST(idx, a_header_that_claims_too_much_is_refused_before_memory_is_taken) {
  const TemporaryFolder folder;
  write_text(folder / "a", idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, ""));
  EXPECT_THAT(message_of<DataError>([&] { read_idx(folder / "a"); }), HasSubstr("at most"));
}

TEST(idx, a_folder_opens_with_rows_as_stored_and_numbers_as_labels) {
  const TemporaryFolder folder;
  write_set(folder, "", "\7\3");
  const Dataset set = open_dataset(folder.path(), {.validation_fraction = 0});
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set.info(0).key, "train/0");
  EXPECT_EQ(set.info(0).label, "7");
  EXPECT_THAT(set.classes(), ElementsAre("3", "7"));
  const Image image = set.image(1);
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_THAT(image.pixels, ElementsAre(6, 7, 8, 9, 10, 11));
}

TEST(idx, emnist_is_transposed_and_read_through_its_mapping) {
  const TemporaryFolder folder;
  write_set(folder, "emnist-tiny-", std::string("\1\0", 2));
  write_text(folder / "emnist-tiny-mapping.txt", "0 65 97\n1 98\n\n2 99\n");
  const Dataset set = open_dataset(folder / "emnist-tiny", {.validation_fraction = 0});
  EXPECT_EQ(set.info(0).label, "b");
  EXPECT_EQ(set.info(1).label, "A");
  EXPECT_THAT(set.classes(), ElementsAre("A", "b", "c"));
  const Image image = set.image(0);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.height, 3);
  EXPECT_THAT(image.pixels, ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_EQ(set.info(0).size.width, 2);
}

TEST(idx, classes_given_as_characters_replace_numbers) {
  const TemporaryFolder folder;
  write_set(folder, "", std::string("\1\0", 2));
  const Dataset set = open_dataset(folder.path(), {.classes = "äb"});
  EXPECT_EQ(set.info(0).label, "b");
  EXPECT_EQ(set.info(1).label, "ä");
}

TEST(idx, a_folder_with_several_sets_needs_a_prefix) {
  const TemporaryFolder folder;
  write_set(folder, "a-", "\1\1");
  write_set(folder, "b-", "\1\1");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("got a, b"));
  EXPECT_EQ(open_dataset(folder / "b").size(), 2u);
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder / "c"); }), HasSubstr("no such file"));
}

TEST(idx, an_images_file_opens_that_part_alone) {
  const TemporaryFolder folder;
  write_set(folder, "", "\1\1");
  write_text(folder / "t10k-images-idx3-ubyte", two_images);
  write_text(folder / "t10k-labels-idx1-ubyte", idx_bytes({2}, "\2\2"));
  const Dataset test = open_dataset(folder / "t10k-images-idx3-ubyte");
  ASSERT_EQ(test.size(), 2u);
  EXPECT_EQ(test.info(0).label, "2");
  EXPECT_EQ(test.info(0).split, Split::test);
  EXPECT_EQ(open_dataset(folder.path()).size(), 4u);
}

TEST(idx, images_without_labels_or_with_another_count_are_data_errors) {
  const TemporaryFolder folder;
  write_text(folder / "train-images-idx3-ubyte", two_images);
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("no labels file"));
  write_text(folder / "train-labels-idx1-ubyte", idx_bytes({3}, "\1\1\1"));
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }),
              HasSubstr("expected 2 labels, one an image, got 3"));
}

TEST(idx, a_label_outside_the_mapping_is_a_data_error) {
  const TemporaryFolder folder;
  write_set(folder, "x-", "\1\5");
  write_text(folder / "x-mapping.txt", "0 65\n1 66\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("label 5 of sample 1"));
  write_text(folder / "x-mapping.txt", "0 65\none 66\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("line 2"));
}

}  // namespace
}  // namespace scrawl
