#include "kernels/cpu/convert.h"

#include "kernels/cpu/dense.h"

namespace scrawl::cpu {

namespace {

inline f32x16 as_float(f32x16 value) { return value; }
inline f32x16 as_float(i32x16 value) { return __builtin_convertvector(value, f32x16); }

template <class From, class To>
void convert(const From* x, To* y, std::int64_t elements, int threads, Affine affine) {
  if (affine.is_identity())
    each_vector(threads, elements,
                [&](std::int64_t i, int count) { store(y + i, as_float(load(x + i, count)), count); });
  else
    each_vector(threads, elements, [&](std::int64_t i, int count) {
      store(y + i, as_float(load(x + i, count)) * affine.scale + affine.offset, count);
    });
}

void move_bytes(const View& x, const View& y, int threads) {
  constexpr std::int64_t page = 4096;
  parallel_for(threads, static_cast<std::int64_t>(bytes_of(x)), 16 * page,
               [&](std::int64_t begin, std::int64_t end) {
                 std::memcpy(y.as<std::byte>() + begin, x.as<const std::byte>() + begin,
                             static_cast<std::size_t>(end - begin));
               });
}

}  // namespace

void convert(const View& x, const View& y, int threads, Affine affine) {
  if (x.type == y.type && affine.is_identity()) return move_bytes(x, y, threads);
  const auto elements = elements_of(x);
  dispatch_storage(y.type, [&]<class To>() {
    if (x.type == DType::u8)
      return convert(x.as<const std::uint8_t>(), y.as<To>(), elements, threads, affine);
    dispatch_storage(
        x.type, [&]<class From>() { convert(x.as<const From>(), y.as<To>(), elements, threads, affine); });
  });
}

}  // namespace scrawl::cpu
