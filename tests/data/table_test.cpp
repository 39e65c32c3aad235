#include "models/data/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "models/data/inspect.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using testing::bar_image;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TemporaryFolder;
using testing::WithoutPrivilege;
using testing::write_image;
using testing::write_text;

std::vector<std::string> fields(std::string_view line, Delimiter delimiter) {
  return parse_table(line, delimiter, "t").at(0).fields;
}

TEST(table, csv_fields_may_be_quoted) {
  EXPECT_THAT(fields("a,\"b,c\",\"d\"\"e\",\"\"\r\n", Delimiter::comma), ElementsAre("a", "b,c", "d\"e", ""));
  EXPECT_THAT(fields("\"a\nb\",c", Delimiter::comma), ElementsAre("a\nb", "c"));
  EXPECT_THAT(fields("a\"b,", Delimiter::comma), ElementsAre("a\"b", ""));
}

TEST(table, tsv_quotes_are_characters_like_others) {
  EXPECT_THAT(fields("a\t\"Der Mann\" sagt\t,", Delimiter::tab), ElementsAre("a", "\"Der Mann\" sagt", ","));
}

TEST(table, a_bom_and_empty_lines_are_left_out_and_lines_counted) {
  const auto rows = parse_table("\xEF\xBB\xBFimage,label\n\n\"x\ny\",1\r\nz,2", Delimiter::comma, "t");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].fields[0], "image");
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(table, broken_quotes_are_data_errors_with_their_line) {
  EXPECT_THAT(message_of<DataError>([] { parse_table("a\n\"b\n", Delimiter::comma, "t"); }),
              HasSubstr("t: line 2"));
  EXPECT_THAT(message_of<DataError>([] { parse_table("a\n\"b\"c\n", Delimiter::comma, "t"); }),
              HasSubstr("t: line 2"));
}

struct TableSet : ::testing::Test {
  TemporaryFolder folder;

  void SetUp() override {
    for (int i = 0; i < 4; ++i)
      write_image(folder / ("img/" + std::to_string(i) + ".png"), bar_image(10 + i, 8, i + 1));
  }
};

using table_set = TableSet;

TEST_F(table_set, columns_are_found_by_known_names_in_any_case) {
  write_text(folder / "t.csv", "Identity,FILENAME\nx,img/0.png\ny,img/1.png\n");
  const Dataset set = open_dataset(folder.path(), {.validation_fraction = 0, .test_fraction = 0});
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set.info(1).key, "img/1.png");
  EXPECT_EQ(set.info(1).label, "y");
  EXPECT_EQ(set.info(1).size.width, 11);
  EXPECT_EQ(set.image(1).pixels, bar_image(11, 8, 2).pixels);
}

TEST_F(table_set, columns_may_be_named_and_images_lie_elsewhere) {
  write_text(folder / "other/t.tsv", "pic\twas\n0.png\tx\n");
  const Dataset set = open_dataset(
      folder / "other/t.tsv", {.image_column = "PIC", .label_column = "was", .image_folder = folder / "img"});
  EXPECT_EQ(set.info(0).label, "x");
  EXPECT_EQ(set.image(0).width, 10);
}

TEST_F(table_set, a_missing_column_is_a_data_error_that_lists_what_there_is) {
  write_text(folder / "t.csv", "picture,label\nimg/0.png,x\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }),
              HasSubstr("expected a column image or file or filename, got the columns picture, label"));
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path(), {.image_column = "foto"}); }),
              HasSubstr("foto"));
}

TEST_F(table_set, splits_and_writers_come_from_their_columns) {
  write_text(
      folder / "t.tsv",
      "file\twriter\tsplit\ttext\nimg/0.png\tw1\ttrain\ta\nimg/1.png\tw2\tval\tb\nimg/2.png\tw3\tTest\tc\n");
  const Dataset set = open_dataset(folder.path(), {.validation_fraction = 1});
  EXPECT_THAT(set.indices(Split::train), ElementsAre(0));
  EXPECT_THAT(set.indices(Split::validation), ElementsAre(1));
  EXPECT_THAT(set.indices(Split::test), ElementsAre(2));
  EXPECT_EQ(set.info(2).writer, "w3");
}

TEST_F(table_set, a_split_of_another_name_may_stand_for_test) {
  write_text(folder / "t.csv", "image,label,split\nimg/0.png,a,train\nimg/1.png,b,test\nimg/2.png,c,Extra\n");
  const Dataset set = open_dataset(folder.path(), {.test_split = "extra"});
  EXPECT_THAT(set.labels(Split::test), ElementsAre("c"));
  EXPECT_EQ(set.size(), 2u);

  write_text(folder / "t.csv", "image,label\nimg/0.png,a\n");
  const auto no_column = [&] { open_dataset(folder.path(), {.test_split = "extra"}); };
  EXPECT_THAT(message_of<DataError>(no_column), HasSubstr("expected a column split"));
  const auto no_table = [&] { open_dataset(folder.path(), {.test_split = "extra"}); };
  std::filesystem::remove(folder / "t.csv");
  EXPECT_THAT(message_of<DataError>(no_table), HasSubstr("for the split 'extra'"));
}

TEST_F(table_set, unusable_rows_are_counted_by_reason_or_fail_when_strict) {
  write_text(folder / "img/bad.png", "no image");
  const std::string header = "image,label,split\nimg/0.png,a,train\n";
  const std::vector<std::pair<std::string, std::string>> rows{
      {"img/1.png,train\n", "wrong number of fields"}, {"img/1.png,,train\n", "empty label"},
      {"img/0.png,a,train\n", "repeated image"},       {"img/9.png,a,train\n", "missing image"},
      {"img/bad.png,a,train\n", "unreadable image"},   {"img/1.png,a,later\n", "another split"},
      {"img/1.png,\xFF,train\n", "label is not UTF-8"}};
  std::string all = header;
  for (const auto& [row, reason] : rows) {
    all += row;
    write_text(folder / "t.csv", header + row);
    const auto open_strictly = [&] { open_dataset(folder.path(), {.bad = Bad::fail}); };
    if (reason == another_split)  // nothing is wrong with it
      EXPECT_NO_THROW(open_strictly());
    else
      EXPECT_THAT(message_of<DataError>(open_strictly), HasSubstr(reason));
  }
  write_text(folder / "t.csv", all);
  const Dataset set = open_dataset(folder.path());
  EXPECT_EQ(set.size(), 1u);
  const SkipCounts counts = count_by_reason(set.skipped());
  EXPECT_EQ(counts.size(), rows.size());
  for (const auto& [row, reason] : rows) EXPECT_EQ(counts.at(reason), 1) << reason;
}

TEST_F(table_set, a_table_without_a_usable_row_is_a_data_error) {
  write_text(folder / "t.csv", "image,label\nnone.png,a\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("missing image: 1"));
  write_text(folder / "t.csv", "");
  EXPECT_THROW(open_dataset(folder.path()), DataError);
}

TEST_F(table_set, names_that_the_system_refuses_are_bad_rows_and_no_end_of_the_set) {
  std::filesystem::create_symlink("loop.png", folder / "img/loop.png");
  const std::string header = "image,label\nimg/0.png,a\n";
  for (const std::string& name : {std::string(300, 'x') + ".png", std::string("img/loop.png")}) {
    write_text(folder / "t.csv", header + name + ",b\n");
    const Dataset set = open_dataset(folder.path());
    EXPECT_EQ(set.size(), 1u);
    EXPECT_EQ(count_by_reason(set.skipped()).at("unreadable image"), 1);
    EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path(), {.bad = Bad::fail}); }),
                HasSubstr(name));
  }
}

TEST_F(table_set, an_entry_that_leads_nowhere_is_no_table) {
  std::filesystem::create_symlink("loop.csv", folder / "loop.csv");
  write_text(folder / "t.csv", "image,label\nimg/0.png,a\n");
  EXPECT_EQ(open_dataset(folder.path()).size(), 1u);
}

TEST(datasets, a_path_that_the_system_refuses_is_a_data_error) {
  const TemporaryFolder folder;
  const std::string name(300, 'x');
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder / name); }), HasSubstr(name));
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder / "loop"); }), HasSubstr("loop"));
}

TEST(datasets, a_folder_without_the_right_to_read_it_is_a_data_error) {
  const TemporaryFolder folder;
  write_image(folder / "set/a/1.png", bar_image(5, 5, 1));
  write_image(folder / "set/b/1.png", bar_image(5, 5, 1));
  for (const char* locked : {"set", "set/b"}) {
    const auto rights = std::filesystem::status(folder / locked).permissions();
    std::filesystem::permissions(folder / locked, std::filesystem::perms::none);
    {
      const WithoutPrivilege here;
      if (!here.held()) GTEST_SKIP() << "needs to give up the rights of root";
      EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder / "set"); }),
                  AllOf(HasSubstr((folder / locked).string()), HasSubstr("Permission denied")));
    }
    std::filesystem::permissions(folder / locked, rights);
  }
}

TEST_F(table_set, a_folder_with_two_tables_needs_the_name_of_one) {
  write_text(folder / "a.csv", "image,label\nimg/0.png,a\n");
  write_text(folder / "b.tsv", "image\tlabel\nimg/0.png\tb\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }), HasSubstr("got a.csv, b.tsv"));
  EXPECT_EQ(open_dataset(folder / "b.tsv").info(0).label, "b");
}

TEST_F(table_set, inspection_counts_and_finds_damaged_images) {
  const std::string png = testing::read_text(folder / "img/3.png");
  write_text(folder / "img/cut.png", png.substr(0, png.size() - 20));
  write_text(folder / "t.csv",
             "image,label,writer,split\nimg/0.png,ab,w,train\nimg/1.png,b,v,train\nimg/"
             "cut.png,b,v,test\nno.png,b,v,test\n");
  const Dataset set = open_dataset(folder.path(), {.validation_fraction = 0});
  EXPECT_EQ(inspect(set, Look::headers).skipped.size(), 1u);
  const Inspection found = inspect(set, Look::pixels);
  EXPECT_EQ(found.samples, 3);
  EXPECT_EQ(found.splits.at("train"), 2);
  EXPECT_EQ(found.splits.at("validation"), 0);
  EXPECT_EQ(found.classes.at("b"), 2);
  EXPECT_EQ(found.characters.at("b"), 3);
  EXPECT_EQ(found.writers.at("train"), 2);
  EXPECT_EQ(found.width.min, 10);
  EXPECT_EQ(found.width.median, 11);
  EXPECT_EQ(found.width.max, 13);
  EXPECT_EQ(found.label_length.max, 2);
  ASSERT_EQ(found.skipped.size(), 2u);
  EXPECT_EQ(found.skipped[1].key, "img/cut.png");
  EXPECT_THAT(to_text(found), HasSubstr("img/cut.png: unreadable image"));
}

TEST(class_folders, the_folder_is_the_label) {
  const TemporaryFolder folder;
  write_image(folder / "b/1.png", bar_image(5, 5, 1));
  write_image(folder / "a/2.PNG", bar_image(5, 5, 2));
  write_text(folder / "a/notes.txt", "");
  write_text(folder / "a/.hidden", "");
  const Dataset set = open_dataset(folder.path());
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set.info(0).key, "a/2.PNG");
  EXPECT_EQ(set.info(0).label, "a");
  EXPECT_THAT(set.classes(), ElementsAre("a", "b"));
  EXPECT_EQ(count_by_reason(set.skipped()).at("not an image file"), 1);
  EXPECT_EQ(set.skipped().size(), 1u);
}

TEST(class_folders, split_folders_give_the_splits) {
  const TemporaryFolder folder;
  write_image(folder / "train/a/1.png", bar_image(5, 5, 1));
  write_image(folder / "val/a/1.png", bar_image(5, 5, 1));
  write_image(folder / "test/a/1.png", bar_image(5, 5, 1));
  const Dataset set = open_dataset(folder.path(), {.validation_fraction = 1});
  for (const Split split : all_splits) EXPECT_EQ(set.indices(split).size(), 1u);
}

TEST(class_folders, an_entry_that_leads_nowhere_is_an_unreadable_image) {
  const TemporaryFolder folder;
  write_image(folder / "a/1.png", bar_image(5, 5, 1));
  std::filesystem::create_symlink("2.png", folder / "a/2.png");
  const Dataset set = open_dataset(folder.path());
  EXPECT_EQ(set.size(), 1u);
  EXPECT_EQ(count_by_reason(set.skipped()).at("unreadable image"), 1);
}

TEST(class_folders, an_empty_folder_is_a_data_error) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder.path()); }),
              HasSubstr("expected labelled images, got none"));
}

}  // namespace
}  // namespace scrawl
