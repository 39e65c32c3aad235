#include "runtime/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor bytes are copied as they are");

using Json = nlohmann::json;

constexpr std::string_view metadata_key = "__metadata__";
constexpr std::string_view our_key = "scrawl";

// The JSON library recurses when it prints: a header of a million brackets must not exhaust the stack.
constexpr int max_depth = 32;

struct TypeName {
  DType type;
  std::string_view name;
};

// In the order in which the Python package places them.
constexpr std::array<TypeName, 7> type_names{{{DType::i64, "I64"},
                                              {DType::f64, "F64"},
                                              {DType::f32, "F32"},
                                              {DType::i32, "I32"},
                                              {DType::bf16, "BF16"},
                                              {DType::f16, "F16"},
                                              {DType::u8, "U8"}}};

auto entry_of(DType type) { return std::ranges::find(type_names, type, &TypeName::type); }

/// What the header says about one tensor; `begin` and `end` count bytes from the end of the header.
struct Entry {
  std::string name;
  DType type;
  Shape shape;
  std::uint64_t begin, end;
};

/// The checks of one file's header. Every failure names the file.
class HeaderReader {
 public:
  explicit HeaderReader(std::string file) : file_(std::move(file)) {}

  /// JSON whose objects have no key twice; `what` names it in errors.
  Json parse(std::string_view what, std::string_view text) const {
    std::vector<std::set<std::string>> open_objects;
    const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
      if (depth > max_depth) fail("{}: expected at most {} levels of nesting", what, max_depth);
      if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
      if (event == Json::parse_event_t::object_end) open_objects.pop_back();
      if (event == Json::parse_event_t::key && !open_objects.back().insert(value).second)
        fail("{}: duplicate key {}", what, shown(value));
      return true;
    };
    Json value;
    try {
      value = Json::parse(text, check);
    } catch (const Json::exception& error) {
      fail("{}: expected JSON, got {}", what, error.what());
    }
    if (!value.is_object()) fail("{}: expected a JSON object, got {}", what, value.type_name());
    return value;
  }

  /// Our object from the string map `__metadata__`; null where it holds none.
  Json metadata(const Json& map) const {
    if (!map.is_object()) fail("{}: expected an object, got {}", metadata_key, map.type_name());
    for (const auto& [key, value] : map.items())
      if (!value.is_string()) fail("{}.{}: expected a string, got {}", metadata_key, key, value.type_name());
    const auto ours = map.find(our_key);
    return ours == map.end() ? Json() : parse("metadata", ours->get_ref<const std::string&>());
  }

  Entry entry(const std::string& name, const Json& fields) const {
    if (!fields.is_object() || fields.size() != 3 || !fields.contains("dtype") || !fields.contains("shape") ||
        !fields.contains("data_offsets"))
      fail("tensor {}: expected dtype, shape and data_offsets, got {}", name, shown(fields));
    const auto offsets = integers(name, "data_offsets", fields["data_offsets"]);
    if (offsets.size() != 2 || offsets[0] > offsets[1])
      fail("tensor {}: data_offsets: expected begin <= end, got {}", name, shown(fields["data_offsets"]));
    Entry entry{.name = name,
                .type = type(name, fields["dtype"]),
                .shape = shape(name, fields["shape"]),
                .begin = offsets[0],
                .end = offsets[1]};
    check_size(entry);
    return entry;
  }

  /// Sorts by position; the entries must tile [0, data_bytes).
  void check_tiling(std::vector<Entry>& entries, std::uint64_t data_bytes) const {
    std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair(e.begin, e.end); });
    std::uint64_t covered = 0;
    for (const auto& entry : entries) {
      if (entry.begin != covered)
        fail("tensor {}: {} the bytes before it: expected to begin at {}, got {}", entry.name,
             entry.begin < covered ? "overlaps" : "leaves a hole in", covered, entry.begin);
      covered = entry.end;
    }
    if (covered != data_bytes) fail("expected {} bytes of tensors, got {}", covered, data_bytes);
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw DataError("{}: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  /// A value as an error quotes it; a broken header may hold a megabyte.
  static std::string shown(const Json& value) {
    const auto text = value.dump();
    return text.size() <= 100 ? text : text.substr(0, 100) + "...";
  }

  std::vector<std::uint64_t> integers(const std::string& name, std::string_view field,
                                      const Json& array) const {
    const auto is_count = [](const Json& value) {
      return value.is_number_unsigned() && std::in_range<std::int64_t>(value.get<std::uint64_t>());
    };
    if (!array.is_array() || !std::ranges::all_of(array, is_count))
      fail("tensor {}: {}: expected an array of integers from 0 to 2^63 - 1, got {}", name, field,
           shown(array));
    return array.get<std::vector<std::uint64_t>>();
  }

  DType type(const std::string& name, const Json& dtype) const {
    const auto found = std::ranges::find_if(type_names, [&](const TypeName& t) { return dtype == t.name; });
    if (found == type_names.end())
      fail("tensor {}: dtype: expected F32, F16, BF16, F64, I32, I64 or U8, got {}", name, shown(dtype));
    return found->type;
  }

  Shape shape(const std::string& name, const Json& extents) const {
    const auto dims = integers(name, "shape", extents);
    if (dims.size() > max_rank)
      fail("tensor {}: shape: expected at most {} axes, got {}", name, max_rank, dims.size());
    Shape shape;
    for (const auto dim : dims) shape[shape.rank++] = static_cast<std::int64_t>(dim);
    return shape;
  }

  void check_size(const Entry& entry) const {
    std::uint64_t bytes = size_of(entry.type);
    bool overflows = false;
    for (int i = 0; i < entry.shape.rank; ++i)
      overflows |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(entry.shape[i]), &bytes);
    if (overflows || bytes != entry.end - entry.begin)
      fail("tensor {}: {} {} does not fill its data_offsets of {} bytes", entry.name, name_of(entry.type),
           to_string(entry.shape), entry.end - entry.begin);
  }

  std::string file_;
};

std::size_t bytes_of(const View& view) {
  return size_of(view.type) * static_cast<std::size_t>(view.shape.count());
}

/// The views in file order, checked.
std::vector<const NamedView*> in_file_order(std::span<const NamedView> tensors) {
  std::vector<const NamedView*> order;
  for (const auto& tensor : tensors) {
    if (tensor.name == metadata_key || !is_plain(tensor.view, Order::row_major))
      throw InternalError("safetensors: tensor {}: expected a row-major tensor, got {}", tensor.name,
                          tensor.name == metadata_key ? "a reserved name" : to_string(tensor.view));
    order.push_back(&tensor);
  }
  std::ranges::sort(order, {}, [](const NamedView* t) { return std::pair(entry_of(t->view.type), t->name); });

  std::set<std::string_view> names;
  for (const auto* tensor : order)
    if (!names.insert(tensor->name).second)
      throw InternalError("safetensors: two tensors named {}", tensor->name);
  return order;
}

std::string make_header(std::span<const NamedView* const> order, const Json& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.is_null()) header[std::string(metadata_key)][std::string(our_key)] = metadata.dump();
  std::uint64_t offset = 0;
  for (const auto* tensor : order) {
    const auto& [name, view] = *tensor;
    const auto end = offset + bytes_of(view);
    auto& fields = header[name];
    fields["dtype"] = entry_of(view.type)->name;
    fields["shape"] = std::vector(view.shape.dims.begin(), view.shape.dims.begin() + view.shape.rank);
    fields["data_offsets"] = {offset, end};
    offset = end;
  }
  auto text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > max_safetensors_header)
    throw InternalError("safetensors: header: expected at most {} bytes, got {}", max_safetensors_header,
                        text.size());
  return text;
}

}  // namespace

const StoredTensor* TensorFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &StoredTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  const InputFile input(path);
  const HeaderReader reader(path.string());

  std::uint64_t header_bytes = 0;
  constexpr auto prefix_bytes = sizeof header_bytes;
  if (input.size() < prefix_bytes)
    reader.fail("expected a safetensors file of at least {} bytes, got {}", prefix_bytes, input.size());
  input.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const auto available = std::min(max_safetensors_header, input.size() - prefix_bytes);
  if (header_bytes > available)
    reader.fail("header length: expected at most {}, got {}", available, header_bytes);

  std::string text(header_bytes, '\0');
  input.read(prefix_bytes, std::as_writable_bytes(std::span(text)));

  TensorFile file;
  std::vector<Entry> entries;
  const Json header = reader.parse("header", text);
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_key)
      file.metadata = reader.metadata(value);
    else
      entries.push_back(reader.entry(name, value));
  }
  const auto data_begin = prefix_bytes + header_bytes;
  reader.check_tiling(entries, input.size() - data_begin);

  for (auto& entry : entries) {
    auto& tensor = file.tensors.emplace_back(
        StoredTensor{.name = std::move(entry.name), .type = entry.type, .shape = entry.shape, .bytes = {}});
    tensor.bytes.resize(entry.end - entry.begin);
    input.read(data_begin + entry.begin, tensor.bytes);
  }
  return file;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedView> tensors,
                       const nlohmann::json& metadata) {
  const auto order = in_file_order(tensors);
  const auto header = make_header(order, metadata);
  write_file_atomically(path, [&](OutputFile& file) {
    const std::uint64_t header_bytes = header.size();
    file.write(std::as_bytes(std::span(&header_bytes, 1)));
    file.write(header);
    for (const auto* tensor : order)
      file.write(std::span(static_cast<const std::byte*>(tensor->view.data), bytes_of(tensor->view)));
  });
}

}  // namespace scrawl
