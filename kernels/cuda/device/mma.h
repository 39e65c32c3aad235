#pragma once
/// Tensor cores: d = a b + c for one tile, held by the lanes of a warp (mma.sync, sm_80), and the loads that
/// bring tiles from shared memory into that form (ldmatrix). All 32 lanes must call. Neither orders memory.
///
/// Which element a lane holds, with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma"):
///   16-bit, 16x8x16, two elements a word, the lower first
///     a: (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8), each with its right neighbour
///     b: (2t, g) (2t + 8, g), each with its lower neighbour
///   tf32, 16x8x8, one element a word
///     a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4);   b: (t, g) (t + 4, g)
///   c, d, f32: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)

#include <cstdint>

#include "kernels/cuda/device/convert.h"
#include "kernels/cuda/device/fragments.h"
#include "kernels/cuda/device/warp.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/tensor_core.h"
#endif

namespace SCRAWL_CUDA {

template <class T>
inline constexpr int mma_depth = std::is_same_v<T, tf32> ? 8 : 16;  ///< K of one product

/// Loads kMatrices (1, 2 or 4) of 8 x 8 elements of 16 bits. Lane 8 m + r names row r of matrix m: 16 bytes
/// of shared memory, 16-byte aligned; the addresses of lanes beyond are not looked at. Word m of lane 4 g + t
/// is elements (g, 2t), (g, 2t + 1) of matrix m, or, transposed, (2t, g), (2t + 1, g).
template <int kMatrices, bool kTransposed>
SCRAWL_DEVICE Words<kMatrices> load_matrices(const void* row, [[maybe_unused]] Place place = Place::here()) {
  static_assert(kMatrices == 1 || kMatrices == 2 || kMatrices == 4);
#ifdef __CUDACC__
  const auto from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  Words<kMatrices> r;
  if constexpr (kMatrices == 4 && kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.w[0]), "=r"(r.w[1]), "=r"(r.w[2]), "=r"(r.w[3])
                 : "r"(from)
                 : "memory");
  else if constexpr (kMatrices == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.w[0]), "=r"(r.w[1]), "=r"(r.w[2]), "=r"(r.w[3])
                 : "r"(from)
                 : "memory");
  else if constexpr (kMatrices == 2 && kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r.w[0]), "=r"(r.w[1])
                 : "r"(from)
                 : "memory");
  else if constexpr (kMatrices == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r.w[0]), "=r"(r.w[1])
                 : "r"(from)
                 : "memory");
  else if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(r.w[0])
                 : "r"(from)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(r.w[0])
                 : "r"(from)
                 : "memory");
  return r;
#else
  const auto site = place.site("load_matrices");
  MatrixLoad<kMatrices, kTransposed> part;
  if (is_shifted(site)) row = static_cast<const std::byte*>(row) + sizeof part.row;
  if (lane_index() < 8 * kMatrices) {
    require_shared(row, sizeof part.row, site);
    load(part.row, row, sizeof part.row);
  }
  meet({site, all_lanes, &part, part.work});
  return part.result;
#endif
}

/// c += a b. T is f16, bf16 or tf32.
template <class T>
SCRAWL_DEVICE void multiply_add(Accumulator& c, const Words<4>& a, const Words<2>& b,
                                [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.f[0]), "+f"(c.f[1]), "+f"(c.f[2]), "+f"(c.f[3])
        : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b.w[0]), "r"(b.w[1]));
  else if constexpr (std::is_same_v<T, f16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.f[0]), "+f"(c.f[1]), "+f"(c.f[2]), "+f"(c.f[3])
        : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b.w[0]), "r"(b.w[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.f[0]), "+f"(c.f[1]), "+f"(c.f[2]), "+f"(c.f[3])
        : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b.w[0]), "r"(b.w[1]));
#else
  Product<T> part{a, b, c};
  meet({place.site("multiply_add"), all_lanes, &part, part.work});
  c = part.c;
#endif
}

}  // namespace SCRAWL_CUDA
