#include "runtime/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/error.h"
#include "runtime/io/file.h"
#include "tests/io/messages.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

const std::filesystem::path golden = std::filesystem::path(SCRAWL_SOURCE_DIR) / "tests/golden/io.safetensors";

template <class T>
std::vector<T> values_of(const TensorFile& file, std::string_view name) {
  const auto* tensor = file.find(name);
  if (!tensor) throw std::runtime_error("no tensor " + std::string(name));
  EXPECT_EQ(tensor->type, dtype_of<T>);
  std::vector<T> values(tensor->bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

/// A file of the given header and `data_bytes` zeros; the length says `length` where given.
class CorruptFile {
 public:
  explicit CorruptFile(std::string_view header, std::size_t data_bytes = 0)
      : CorruptFile(header, data_bytes, header.size()) {}
  CorruptFile(std::string_view header, std::size_t data_bytes, std::uint64_t length) {
    std::string text(reinterpret_cast<const char*>(&length), sizeof length);
    write_file_atomically(path(), text + std::string(header) + std::string(data_bytes, '\0'));
  }
  std::filesystem::path path() const { return folder_ / "bad.safetensors"; }
  TensorFile read() const { return read_safetensors(path()); }

 private:
  TemporaryFolder folder_;
};

TEST(safetensors, reads_every_type_that_the_python_package_wrote) {
  const auto file = read_safetensors(golden);
  EXPECT_EQ(file.tensors.size(), 8u);
  EXPECT_EQ(values_of<float>(file, "conv1.weight"),
            (std::vector<float>{0.5f, -1, 3.25f, 1e-30f, 65504, -0.0f}));
  EXPECT_EQ(file.find("conv1.weight")->shape, (Shape{2, 1, 3, 1}));
  EXPECT_EQ(values_of<double>(file, "optimizer.moment"), (std::vector<double>{1.0 / 3, 1e300}));
  const auto running = values_of<bf16>(file, "bn1.running_mean");
  ASSERT_EQ(running.size(), 3u);
  EXPECT_EQ(static_cast<float>(running[2]), 3.140625f);
  EXPECT_EQ(static_cast<float>(values_of<f16>(file, "loss_scale").at(0)), 0.0999755859375f);
  EXPECT_EQ(values_of<std::int32_t>(file, "labels"), (std::vector<std::int32_t>{-1, 0, 2147483647}));
  EXPECT_EQ(file.find("labels")->shape, (Shape{1, 1, 1, 1, 3}));
  EXPECT_EQ(values_of<std::int64_t>(file, "samples"), (std::vector<std::int64_t>{4503599627370497}));
  EXPECT_EQ(file.find("samples")->shape, Shape{});
  EXPECT_EQ(values_of<std::uint8_t>(file, "mask"), (std::vector<std::uint8_t>{0, 255, 7, 1, 2}));
  EXPECT_EQ(file.find("größe.empty")->shape, (Shape{0, 4}));
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_EQ(file.metadata,
            (nlohmann::json{{"alphabet", "aäß \"\\\n€"}, {"architecture", "crnn-small"}, {"version", 1}}));
}

TEST(safetensors, writes_byte_for_byte_what_the_python_package_writes) {
  const TemporaryFolder folder;
  write_sample_tensors(folder / "ours.safetensors");
  EXPECT_EQ(read_file(folder / "ours.safetensors"), read_file(golden));
}

TEST(safetensors, order_of_the_arguments_does_not_change_the_file) {
  const TemporaryFolder folder;
  float x = 1;
  double y = 2;
  std::vector<NamedView> tensors{{"b", make_view(&x, DType::f32, {1})},
                                 {"a", make_view(&x, DType::f32, {1})},
                                 {"c", make_view(&y, DType::f64, {1})}};
  write_safetensors(folder / "1", tensors);
  std::ranges::reverse(tensors);
  write_safetensors(folder / "2", tensors);
  EXPECT_EQ(read_file(folder / "1"), read_file(folder / "2"));
}

TEST(safetensors, a_file_may_hold_nothing_at_all) {
  const TemporaryFolder folder;
  write_safetensors(folder / "f", {});
  const auto file = read_safetensors(folder / "f");
  EXPECT_TRUE(file.tensors.empty());
  EXPECT_TRUE(file.metadata.is_null());
}

TEST(safetensors, metadata_of_other_programs_is_skipped) {
  const CorruptFile file(
      R"({"__metadata__":{"format":"pt"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  EXPECT_TRUE(file.read().metadata.is_null());
  EXPECT_EQ(file.read().tensors.size(), 1u);
}

TEST(safetensors, every_truncation_is_a_data_error) {
  const TemporaryFolder folder;
  const auto cut = folder / "cut";
  std::filesystem::copy_file(golden, cut);
  for (auto size = std::filesystem::file_size(golden); size-- > 0;) {
    std::filesystem::resize_file(cut, size);
    EXPECT_THROW(read_safetensors(cut), DataError) << size << " bytes";
  }
}

TEST(safetensors, no_flipped_bit_escapes_as_anything_but_a_data_error) {
  const TemporaryFolder folder;
  const auto whole = read_file(golden);
  std::size_t refused = 0;
  // Bits of tensor data and of names change values, not the structure: those files may read well.
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 3) {
    auto flipped = whole;
    flipped[bit / 8] ^= std::byte(1 << bit % 8);
    std::filesystem::remove(folder / "flipped");
    OutputFile(folder / "flipped").write(flipped);
    try {
      read_safetensors(folder / "flipped");
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, whole.size() / 2);
}

TEST(safetensors, a_corrupt_header_is_a_data_error_that_names_the_file_and_the_cause) {
  struct Case {
    std::string header;
    std::size_t data_bytes;
    std::string cause;
  };
  const std::string x = R"("x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  const Case cases[]{
      {"", 0, "header: expected JSON"},
      {"[]", 0, "header: expected a JSON object, got array"},
      {"{" + x, 4, "header: expected JSON"},
      {"{" + x + "}x", 4, "header: expected JSON"},
      {"{\"\xff\":1}", 0, "header: expected JSON"},
      {"{" + x + "," + x + "}", 4, "header: duplicate key \"x\""},
      {R"({"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4, "duplicate key \"dtype\""},
      {R"({"x":3})", 0, "tensor x: expected dtype, shape and data_offsets, got 3"},
      {R"({"x":{"dtype":"U8","shape":[4]}})", 4, "tensor x: expected dtype, shape and data_offsets"},
      {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"more":1}})", 4, "tensor x: expected dtype"},
      {R"({"x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4, "dtype: expected F32, F16"},
      {R"({"x":{"dtype":7,"shape":[4],"data_offsets":[0,4]}})", 4, "dtype: expected F32, F16"},
      {R"({"x":{"dtype":"U8","shape":4,"data_offsets":[0,4]}})", 4, "shape: expected an array of integers"},
      {R"({"x":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}})", 4,
       "shape: expected an array of integers"},
      {R"({"x":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}})", 4,
       "shape: expected an array of integers"},
      {R"({"x":{"dtype":"U8","shape":[0,18446744073709551615],"data_offsets":[0,0]}})", 0,
       "from 0 to 2^63 - 1"},
      {R"({"x":{"dtype":"U8","shape":[1,1,1,1,1,4],"data_offsets":[0,4]}})", 4, "at most 5 axes, got 6"},
      {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0]}})", 4, "data_offsets: expected begin <= end"},
      {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", 4, "data_offsets: expected begin <= end"},
      {R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,4]}})", 4,
       "u8 3 does not fill its data_offsets of 4"},
      {R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}})", 4,
       "f32 4 does not fill its data_offsets of 4"},
      // 2^32 * 2^32 elements wrap around to none.
      {R"({"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "does not fill"},
      {"{" + x + R"(,"y":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})", 5, "tensor y: overlaps"},
      {"{" + x + R"(,"y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4, "tensor y: overlaps"},
      {"{" + x + R"(,"y":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})", 7, "tensor y: leaves a hole"},
      {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, "tensor x: leaves a hole"},
      {"{" + x + "}", 5, "expected 4 bytes of tensors, got 5"},
      {"{" + x + "}", 3, "expected 4 bytes of tensors, got 3"},
      {R"({"__metadata__":[]})", 0, "__metadata__: expected an object, got array"},
      {R"({"__metadata__":{"scrawl":{}}})", 0, "__metadata__.scrawl: expected a string, got object"},
      {R"({"__metadata__":{"scrawl":"{"}})", 0, "metadata: expected JSON"},
      {R"({"__metadata__":{"scrawl":"3"}})", 0, "metadata: expected a JSON object, got number"},
  };
  for (const auto& [header, data_bytes, cause] : cases) {
    const CorruptFile file(header, data_bytes);
    EXPECT_MESSAGE(file.read(), DataError, file.path().string(), cause) << header;
  }
}

TEST(safetensors, a_header_length_beyond_the_file_or_the_limit_is_a_data_error) {
  EXPECT_MESSAGE(CorruptFile("{}", 0, 3).read(), DataError, "header length: expected at most 2, got 3");
  EXPECT_MESSAGE(CorruptFile("{}", 0, ~std::uint64_t{0}).read(), DataError, "header length");
  const CorruptFile long_header("{}" + std::string(1 << 20, ' '));
  EXPECT_MESSAGE(long_header.read(), DataError, "header length: expected at most 1048576, got 1048578");
  const CorruptFile longest("{}" + std::string((1 << 20) - 2, ' '));
  EXPECT_TRUE(longest.read().tensors.empty());
}

TEST(safetensors, deep_nesting_is_a_data_error) {
  const std::string open(200000, '['), close(200000, ']');
  EXPECT_MESSAGE(CorruptFile("{\"x\":" + open + close + "}").read(), DataError,
                 "at most 32 levels of nesting");
}

TEST(safetensors, refuses_to_write_what_it_could_not_read) {
  const TemporaryFolder folder;
  float x[4]{};
  const auto one = make_view(x, DType::f32, {1});
  const NamedView twice[]{{"x", one}, {"x", one}};
  EXPECT_MESSAGE(write_safetensors(folder / "f", twice), InternalError, "two tensors named x");
  const NamedView images[]{{"x", make_view(x, DType::f32, {1, 2, 1, 2}, Order::channels_last)}};
  EXPECT_MESSAGE(write_safetensors(folder / "f", images), InternalError, "tensor x", "row-major");
  const NamedView reserved[]{{"__metadata__", one}};
  EXPECT_MESSAGE(write_safetensors(folder / "f", reserved), InternalError, "reserved name");
  const std::string huge(1 << 20, 'x');
  EXPECT_MESSAGE(write_safetensors(folder / "f", {}, {{"alphabet", huge}}), InternalError, "header");
  EXPECT_TRUE(names_in(folder.path()).empty());
}

}  // namespace
}  // namespace scrawl
