#pragma once
/// Rows in registers: a team of lanes holds a row, each lane some of its elements.

#include "kernels/cuda/device/convert.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/vector.h"

namespace SCRAWL_CUDA {

// How rows are shared out, by their width: four to a block, one to a block, or too wide for registers.

struct WarpRows {
  static constexpr int threads = 128, per_lane = 32, widest = per_lane * warp_size;
};
struct BlockRows {
  static constexpr int most_threads = 1024, per_lane = 16, widest = per_lane * most_threads;
};
struct StreamedRows {
  static constexpr int threads = 1024;
};

/// A power of two of neighbouring lanes of a warp, all of which call.
struct LaneTeam {
  int lanes;

  SCRAWL_DEVICE int lane() const { return lane_index() % lanes; }

  /// combine must commute; every lane gets the same bits.
  template <class Combine>
  SCRAWL_DEVICE float reduce(float value, Combine combine, Place place = Place::here()) {
    for (int bits = lanes / 2; bits > 0; bits /= 2)
      value = combine(value, shuffle_xor(value, bits, all_lanes, place));
    return value;
  }
};

/// All lanes of a block. Each reduction has scratch of its own.
struct BlockTeam {
  static constexpr int most_reductions = 2;
  using Scratch = PerWarp<float>[most_reductions];

  Scratch& scratch;
  int lanes = block_size(), reductions = 0;

  SCRAWL_DEVICE int lane() const { return thread_index(); }

  template <class Combine>
  SCRAWL_DEVICE float reduce(float value, Combine combine, Place place = Place::here()) {
    return reduce_block(value, combine, scratch[reductions++], place);
  }
};

struct Largest {
  SCRAWL_DEVICE float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  SCRAWL_DEVICE float operator()(float a, float b) const { return a + b; }
};

/// The elements that a lane holds: at most kPerLane, in vectors of kVector that lie in turn with those of the
/// other lanes. Elements behind the row's end are not touched.
template <int kPerLane, int kVector>
struct Row {
  static_assert(kPerLane % kVector == 0);
  float values[kPerLane];

  /// Calls f(r, k) for each element k of [0, classes) that the lane holds, in values[r].
  template <class Team, class F>
  SCRAWL_DEVICE static void each(const Team& team, int classes, F&& f) {
#pragma unroll
    for (int j = 0; j < kPerLane / kVector; ++j) {
      const int first = (j * team.lanes + team.lane()) * kVector;
      if (first < classes)
#pragma unroll
        for (int i = 0; i < kVector; ++i) f(j * kVector + i, first + i);
    }
  }

  template <class Team, class T>
  SCRAWL_DEVICE void load(const Team& team, const T* row, int classes) {
#pragma unroll
    for (int j = 0; j < kPerLane / kVector; ++j) {
      const int first = (j * team.lanes + team.lane()) * kVector;
      if (first >= classes) continue;
      if constexpr (kVector == 1) {
        values[j] = to_float(row[first]);
      } else {
        const auto vector = load_vector<kVector>(row + first);
#pragma unroll
        for (int i = 0; i < kVector; ++i) values[j * kVector + i] = to_float(vector[i]);
      }
    }
  }

  template <class Team, class T>
  SCRAWL_DEVICE void store(const Team& team, T* row, int classes) const {
#pragma unroll
    for (int j = 0; j < kPerLane / kVector; ++j) {
      const int first = (j * team.lanes + team.lane()) * kVector;
      if (first >= classes) continue;
      if constexpr (kVector == 1) {
        row[first] = from_float<T>(values[j]);
      } else {
        Vector<T, kVector> vector;
#pragma unroll
        for (int i = 0; i < kVector; ++i) vector[i] = from_float<T>(values[j * kVector + i]);
        store_vector(row + first, vector);
      }
    }
  }
};

}  // namespace SCRAWL_CUDA
