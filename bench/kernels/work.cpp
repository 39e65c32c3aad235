#include "bench/kernels/work.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

/// Random operands repeat after so many elements: a prime, so that no two rows are alike.
constexpr std::int64_t period = 1'048'583;

/// The bytes of values in a type.
std::vector<std::byte> stored(const std::vector<float>& values, DType type) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  const auto store = [&]<class T>() {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<T>(values[i]);
      std::memcpy(&bytes[i * sizeof(T)], &value, sizeof(T));
    }
  };
  switch (type) {
    case DType::i32:
      store.template operator()<std::int32_t>();
      break;
    case DType::i64:
      store.template operator()<std::int64_t>();
      break;
    case DType::u8:
      store.template operator()<std::uint8_t>();
      break;
    default:
      dispatch_float(type, store);
  }
  return bytes;
}

std::vector<float> loaded(const std::vector<std::byte>& bytes, DType type) {
  std::vector<float> values(bytes.size() / size_of(type));
  const auto load = [&]<class T>() {
    for (std::size_t i = 0; i < values.size(); ++i) {
      T value;
      std::memcpy(&value, &bytes[i * sizeof(T)], sizeof(T));
      values[i] = static_cast<float>(value);
    }
  };
  switch (type) {
    case DType::i32:
      load.template operator()<std::int32_t>();
      break;
    case DType::i64:
      load.template operator()<std::int64_t>();
      break;
    case DType::u8:
      load.template operator()<std::uint8_t>();
      break;
    default:
      dispatch_float(type, load);
  }
  return values;
}

float rounded(float value, DType type) {
  if (type == DType::bf16) return static_cast<float>(bf16(value));
  if (type == DType::f16) return static_cast<float>(f16(value));
  return value;
}

std::vector<float> values_of(const View& view, const std::string& name, const Inputs& inputs) {
  const auto fill = inputs.fill.find(name);
  if (fill == inputs.fill.end() && !is_float(view.type))
    throw InternalError("bench: no values for {}, which is {}", name, name_of(view.type));
  const auto scale = inputs.scale.contains(name) ? inputs.scale.at(name) : 1.0f;
  std::seed_seq seed(name.begin(), name.end());
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(std::min(view.shape.count(), period)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value =
        fill != inputs.fill.end() ? fill->second(static_cast<std::int64_t>(i)) : scale * normal(random);
    values[i] = is_float(view.type) ? rounded(value, inputs.rounding) : value;
  }
  return values;
}

}  // namespace

void* Memory::take(std::size_t bytes) {
  return buffers_.emplace_back(device_, bytes, Buffer::Contents::undefined).data();
}

void* Memory::place(const View& view) {
  View placed = view;
  placed.data = take(device_.backend().bytes(view));
  forget(placed);
  return placed.data;
}

void Memory::forget(const View& view) {
  const auto bytes = device_.backend().bytes(view);
  auto* const memory = view.as<std::byte>();
  // Every byte 0xff is NaN in every type, and no index; whoever does not write shows.
  const std::vector<std::byte> nan(std::min<std::size_t>(bytes, 1 << 20), std::byte{0xff});
  if (bytes == 0) return;
  device_.upload(memory, nan);
  device_.upload(memory + bytes - nan.size(), nan);
}

void* Memory::given(const View& view, const std::string& name, const Inputs& inputs) {
  if (!is_dense(view)) throw InternalError("bench: {}: expected a plain placement", name);
  const auto bytes = size_of(view.type) * static_cast<std::size_t>(view.shape.count());
  auto* const memory = static_cast<std::byte*>(take(bytes));
  const auto values = stored(values_of(view, name, inputs), view.type);
  if (bytes > 0) device_.upload(memory, values);
  repeat(memory, values.size(), bytes);
  return memory;
}

/// By copies on the device, each twice as long as the one before.
void Memory::repeat(std::byte* memory, std::size_t filled, std::size_t bytes) {
  while (filled < bytes) {
    const auto count = std::min(filled, bytes - filled);
    const auto of = [&](std::byte* data) {
      return make_view(data, DType::u8, {static_cast<std::int64_t>(count)});
    };
    reorder(of(memory), of(memory + filled));
    filled += count;
  }
}

void Memory::reorder(const View& from, const View& to) {
  Copy call{.x = from, .y = to};
  call.x.data = call.y.data = nullptr;
  const auto plan = device_.backend().copy(call, device_.selection());
  if (!same_placement(call.x, from) || !same_placement(call.y, to))
    throw InternalError("bench: copy of {} changed the placements that it was given", to_string(from));
  call.x.data = from.data;
  call.y.data = to.data;
  Buffer workspace(device_, plan.workspace_bytes);
  plan.run(call, {workspace.data(), workspace.size()}, device_.stream());
  device_.synchronize();
}

std::vector<float> Memory::ends(const View& view, std::int64_t most) {
  const auto count = view.shape.count();
  const auto part = [&](std::int64_t first, std::int64_t last) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(last - first) * size_of(view.type));
    const auto* const from =
        view.as<const std::byte>() + static_cast<std::size_t>(first) * size_of(view.type);
    if (!bytes.empty()) device_.download(bytes, from);
    return loaded(bytes, view.type);
  };
  if (count <= 2 * most) return part(0, count);
  auto values = part(0, most);
  const auto last = part(count - most, count);
  values.insert(values.end(), last.begin(), last.end());
  return values;
}

}  // namespace scrawl::bench
