#include "runtime/io/results_csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "kernels/error.h"
#include "runtime/io/file.h"
#include "tests/io/messages.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

const std::vector<std::string> metrics{"loss", "cer"};

class ResultsCsvTest {
 public:
  std::filesystem::path path() const { return folder_ / "results.csv"; }
  std::string text() const {
    const auto bytes = read_file(path());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void write(std::string_view text) const { write_file_atomically(path(), text); }

 private:
  TemporaryFolder folder_;
};

void append(ResultsCsv& csv, std::int64_t epoch, std::vector<double> values) { csv.append(epoch, values); }

TEST(results_csv, holds_a_header_and_a_row_an_epoch) {
  const ResultsCsvTest file;
  ResultsCsv csv(file.path(), metrics);
  EXPECT_EQ(file.text(), "epoch,loss,cer\n");
  append(csv, 1, {0.1, 3});
  append(csv, 2, {1e-7, 1.0 / 3});
  EXPECT_EQ(file.text(), "epoch,loss,cer\n1,0.1,3\n2,1e-07,0.3333333333333333\n");
}

TEST(results_csv, a_value_that_was_not_measured_is_empty) {
  const ResultsCsvTest file;
  ResultsCsv csv(file.path(), metrics);
  append(csv, 1, {std::nan(""), std::numeric_limits<double>::infinity()});
  EXPECT_EQ(file.text(), "epoch,loss,cer\n1,,inf\n");
}

TEST(results_csv, a_resumed_run_drops_the_rows_after_its_epoch) {
  const ResultsCsvTest file;
  file.write("epoch,loss,cer\n1,3,1\n2,2,\n3,1,0.5\n10,0.5,0.1\n");
  ResultsCsv csv(file.path(), metrics, 2);
  append(csv, 3, {1.5, 0.75});
  EXPECT_EQ(file.text(), "epoch,loss,cer\n1,3,1\n2,2,\n3,1.5,0.75\n");
}

TEST(results_csv, a_new_run_starts_over) {
  const ResultsCsvTest file;
  file.write("epoch,accuracy\n1,0.5\n");
  const ResultsCsv csv(file.path(), metrics);
  EXPECT_EQ(file.text(), "epoch,loss,cer\n");
}

TEST(results_csv, a_resumed_run_without_the_file_starts_one) {
  const ResultsCsvTest file;
  const ResultsCsv csv(file.path(), metrics, 5);
  EXPECT_EQ(file.text(), "epoch,loss,cer\n");
}

TEST(results_csv, a_last_row_without_its_newline_is_kept) {
  const ResultsCsvTest file;
  file.write("epoch,loss,cer\n1,3,1");
  const ResultsCsv csv(file.path(), metrics, 1);
  EXPECT_EQ(file.text(), "epoch,loss,cer\n1,3,1\n");
}

TEST(results_csv, resuming_with_other_columns_is_a_data_error_and_leaves_the_file) {
  const ResultsCsvTest file;
  const std::string before = "epoch,accuracy\n1,0.5\n";
  file.write(before);
  EXPECT_MESSAGE(ResultsCsv(file.path(), metrics, 1), DataError, file.path().string(),
                 "expected the columns epoch,loss,cer, got epoch,accuracy");
  EXPECT_EQ(file.text(), before);
}

TEST(results_csv, resuming_with_a_row_without_an_epoch_is_a_data_error) {
  const ResultsCsvTest file;
  for (const std::string row : {"x,1,2", ",1,2", "1", "1.5,2,3", ""}) {
    file.write("epoch,loss,cer\n" + row + "\n1,1,1\n");
    EXPECT_MESSAGE(ResultsCsv(file.path(), metrics, 1), DataError, "begins with an epoch, got " + row);
  }
}

TEST(results_csv, a_row_of_the_wrong_length_is_our_bug) {
  const ResultsCsvTest file;
  ResultsCsv csv(file.path(), metrics);
  EXPECT_MESSAGE(append(csv, 1, {1}), InternalError, "expected 2 values, got 1");
}

}  // namespace
}  // namespace scrawl
