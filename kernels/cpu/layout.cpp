#include "kernels/cpu/layout.h"

#include <algorithm>
#include <list>
#include <mutex>

#include "kernels/cpu/onednn.h"
#include "kernels/error.h"

namespace scrawl::cpu {

namespace {

constexpr auto layout_type = dnnl::memory::data_type::f32;

dnnl::memory::desc with_type(dnnl::memory::desc desc, dnnl::memory::data_type type) {
  desc.data.data_type = static_cast<dnnl_data_type_t>(type);
  return desc;
}

/// Layouts are never freed: there are as many as distinct placements in a process, a handful a graph.
const Layout* intern(const dnnl::memory::desc& desc) {
  static std::mutex mutex;
  static std::list<Layout> layouts;
  const auto key = with_type(desc, layout_type);
  const std::lock_guard lock(mutex);
  const auto found = std::ranges::find_if(layouts, [&](const Layout& known) { return known.desc == key; });
  return found != layouts.end() ? &*found : &layouts.emplace_back(key);
}

bool is_blocked(const dnnl::memory::desc& desc) {
  return desc.data.format_kind == dnnl_blocked && desc.data.extra.flags == dnnl_memory_extra_flag_none;
}

/// Whether strides alone say where each element lies.
bool is_strided(const dnnl::memory::desc& desc) {
  const auto& d = desc.data;
  return is_blocked(desc) && d.format_desc.blocking.inner_nblks == 0 && d.offset0 == 0 &&
         std::equal(d.dims, d.dims + d.ndims, d.padded_dims);
}

/// Equal up to the strides of axes of extent 1, which no address depends on.
bool equivalent(const Shape& shape, const Strides& a, const std::int64_t* b) {
  for (int i = 0; i < shape.rank; ++i)
    if (shape[i] > 1 && a[static_cast<std::size_t>(i)] != b[i]) return false;
  return true;
}

/// "nChw16c" for images in channel blocks, else oneDNN's "ABcd16b16a": axes by decreasing stride, upper case
/// where blocked, then the blocks.
std::string tag_of(const dnnl_memory_desc_t& desc) {
  if (desc.format_kind == dnnl_format_kind_wino) return "winograd";
  if (desc.format_kind != dnnl_blocked) return "packed";
  const auto& blocking = desc.format_desc.blocking;
  std::vector<int> axes;
  for (int i = 0; i < desc.ndims; ++i) axes.push_back(i);
  std::ranges::stable_sort(axes, [&](int a, int b) { return blocking.strides[a] > blocking.strides[b]; });
  const auto inner = std::span(blocking.inner_idxs, static_cast<std::size_t>(blocking.inner_nblks));
  const bool image = desc.ndims == 4 && inner.size() == 1 && inner[0] == 1;
  const std::string_view letters = image ? "nchw" : "abcde";
  std::string tag;
  for (const int axis : axes) {
    const char letter = letters[static_cast<std::size_t>(axis)];
    const bool blocked = std::ranges::find(inner, axis) != inner.end();
    tag += blocked ? static_cast<char>(letter - 'a' + 'A') : letter;
  }
  for (std::size_t i = 0; i < inner.size(); ++i)
    tag += fmt::format("{}{}", blocking.inner_blks[i], letters[static_cast<std::size_t>(inner[i])]);
  return tag;
}

}  // namespace

dnnl::memory::data_type onednn_type(DType type) {
  using enum dnnl::memory::data_type;
  switch (type) {
    case DType::f32:
      return f32;
    case DType::bf16:
      return bf16;
    case DType::f16:
      return f16;
    case DType::i32:
      return s32;
    case DType::u8:
      return u8;
    case DType::f64:
    case DType::i64:
      break;
  }
  throw InternalError("oneDNN has no {}", name_of(type));
}

dnnl::memory::dims onednn_dims(const Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.rank};
}

dnnl::memory::desc descriptor(const View& view) {
  if (view.layout) return with_type(view.layout->desc, onednn_type(view.type));
  return {onednn_dims(view.shape),
          onednn_type(view.type),
          {view.strides.begin(), view.strides.begin() + view.shape.rank}};
}

dnnl::memory::desc any_placement(const View& view) {
  return {onednn_dims(view.shape), onednn_type(view.type), dnnl::memory::format_tag::any};
}

void place(View& view, const dnnl::memory::desc& desc) {
  if (desc.data.ndims != view.shape.rank || !is_strided(desc)) {
    view.layout = intern(desc);
    return;
  }
  const auto& strides = desc.data.format_desc.blocking.strides;
  if (!view.layout && equivalent(view.shape, view.strides, strides)) return;
  view.layout = nullptr;
  for (const auto order : {Order::row_major, Order::channels_last}) {
    if (order == Order::channels_last && view.shape.rank != 4) continue;
    view.strides = strides_of(view.shape, order);
    if (equivalent(view.shape, view.strides, strides)) return;
  }
  std::copy_n(strides, view.shape.rank, view.strides.begin());
}

std::optional<ChannelVectors> channel_vectors(const View& view) {
  if (view.shape.rank != 4) return std::nullopt;
  const auto& shape = view.shape;
  ChannelVectors vectors{.images = shape[0], .channels = shape[1], .height = shape[2], .width = shape[3]};
  vectors.blocks = (shape[1] + channel_lanes - 1) / channel_lanes;
  if (!view.layout) {
    if (view.strides[1] != 1 || shape[1] % channel_lanes != 0) return std::nullopt;
    vectors.image_stride = view.strides[0];
    vectors.block_stride = channel_lanes;
    vectors.row_stride = view.strides[2];
    vectors.pixel_stride = view.strides[3];
    return vectors;
  }
  const auto& desc = view.layout->desc;
  const auto& blocking = desc.data.format_desc.blocking;
  if (!is_blocked(desc) || blocking.inner_nblks != 1 || blocking.inner_idxs[0] != 1 ||
      blocking.inner_blks[0] != channel_lanes || desc.data.offset0 != 0)
    return std::nullopt;
  vectors.image_stride = blocking.strides[0];
  vectors.block_stride = blocking.strides[1];
  vectors.row_stride = blocking.strides[2];
  vectors.pixel_stride = blocking.strides[3];
  return vectors;
}

void place_in_channel_blocks(View& view) {
  if (view.shape.rank != 4)
    throw ShapeError("channel blocks: expected N C H W, got {}", to_string(view.shape));
  place(view, {onednn_dims(view.shape), layout_type, dnnl::memory::format_tag::nChw16c});
}

std::int64_t offset_of(const View& view, std::span<const std::int64_t> position) {
  std::int64_t offset = 0;
  if (!view.layout) {
    for (std::size_t i = 0; i < position.size(); ++i) offset += position[i] * view.strides[i];
    return offset;
  }
  const auto& desc = view.layout->desc;
  if (!is_blocked(desc) || static_cast<std::size_t>(desc.data.ndims) != position.size())
    throw InternalError("layout: {} has no place for single elements", placement_of(view));
  const auto& blocking = desc.data.format_desc.blocking;
  std::array<std::int64_t, max_rank> outer{};
  std::ranges::copy(position, outer.begin());
  std::int64_t block = 1;
  for (int i = blocking.inner_nblks - 1; i >= 0; --i) {  // the last block is innermost
    auto& at = outer[static_cast<std::size_t>(blocking.inner_idxs[i])];
    offset += at % blocking.inner_blks[i] * block;
    at /= blocking.inner_blks[i];
    block *= blocking.inner_blks[i];
  }
  for (std::size_t i = 0; i < position.size(); ++i) offset += outer[i] * blocking.strides[i];
  return offset + desc.data.offset0;
}

bool equally_placed(const View& a, const View& b) {
  return a.layout == b.layout && (a.layout || equivalent(a.shape, a.strides, b.strides.data()));
}

std::size_t bytes_of(const View& view) {
  if (view.layout) return descriptor(view).get_size();
  std::int64_t last = 0;
  for (int i = 0; i < view.shape.rank; ++i) {
    if (view.shape[i] == 0) return 0;
    last += (view.shape[i] - 1) * view.strides[static_cast<std::size_t>(i)];
  }
  return static_cast<std::size_t>(last + 1) * size_of(view.type);
}

std::string placement_of(const View& view) {
  if (view.layout) return tag_of(view.layout->desc.data);
  if (is_plain(view, Order::row_major)) return "row-major";
  if (view.shape.rank == 4 && is_plain(view, Order::channels_last)) return "nhwc";
  return "strided";
}

}  // namespace scrawl::cpu
