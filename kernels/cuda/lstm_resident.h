#pragma once
/// What stays on a multiprocessor through all steps of an LSTM, and what its blocks exchange.
///
/// Products are of tiles of 16 samples by 32 columns, summed by depths of 16. A warp has the weights of 32
/// columns: forward, the four gates of 8 units, all of h deep; backward, 32 units, the gradients of one gate
/// deep. Such a part of the weights is packed as (depths, 2, lanes, 4 words), the order of fragments: each
/// lane reads its own, from registers or from its own shared memory. What blocks exchange lies in the order
/// of fragments, too: (depths, lanes, 4 words) for 16 samples.

#include "kernels/cuda/device/flag.h"
#include "kernels/cuda/device/mma.h"
#include "kernels/cuda/lstm_parts.h"

namespace SCRAWL_CUDA {

struct Tile {
  static constexpr int samples = 16, depth = 16, units = 8;  ///< units: of a warp's cells
  static constexpr int columns = 4;                          ///< fragments of b, 8 columns each
  static constexpr int in_registers = 12;                    ///< depths whose weights are
  static constexpr int in_flight = 16;  ///< depths whose other factor is loaded before the first product
  static constexpr int words = 4;       ///< of a lane's part of a
};

using LaneWords = Vector<std::uint32_t, Tile::words>;

/// How the cells of a launch are shared: a group of `slices` blocks has one direction of `tiles` tiles of
/// samples, and a block its slice of units.
struct Team {
  int warps, tiles, slices, depths;
  int first_group;               ///< of the launch; group = tiles of samples * D + direction
  const std::uint32_t* weights;  ///< packed: (D, parts, depths, 2, lanes, 4)
  int parts;                     ///< of a direction
  std::uint32_t* exchange;       ///< (groups, tiles, 2, factors, depths, lanes, 4)
  std::uint32_t* flags;          ///< (groups, slices)

  /// Packed words of a part of the weights.
  SCRAWL_DEVICE static std::int64_t part_words(int depths) {
    return std::int64_t{depths} * 2 * warp_size * Tile::words;
  }
};

/// A lane's place in the team.
struct Member {
  const Team& team;
  int group, slice, direction, part, unit;

  SCRAWL_DEVICE Member(const Team& of, int directions)
      : team(of),
        group(of.first_group + static_cast<int>(block_index().x) / of.slices),
        slice(static_cast<int>(block_index().x) % of.slices),
        direction(group % directions),
        part(slice * of.warps + warp_index()),
        unit(part * Tile::units + lane_index() % 4 * 2) {}

  /// The sample of a tile's row g or g + 8.
  SCRAWL_DEVICE int sample(int tile, int half, int directions) const {
    return (group / directions * team.tiles + tile) * Tile::samples + half * 8 + lane_index() / 4;
  }
  /// Factors of 16 samples: (factors, depths, lanes, 4).
  SCRAWL_DEVICE std::uint32_t* factors(int tile, int buffer, int count) const {
    return team.exchange + ((std::int64_t{group} * team.tiles + tile) * 2 + buffer) * count * team.depths *
                               (warp_size * Tile::words);
  }
  /// Where the own units' words of a factor lie.
  SCRAWL_DEVICE std::uint32_t* own(std::uint32_t* factor) const {
    return factor + (part / 2 * warp_size + lane_index()) * Tile::words + part % 2 * 2;
  }

  /// Says that what the block has exchanged so far is there. All lanes call.
  SCRAWL_DEVICE void publish(int round, Place place = Place::here()) const {
    sync_block(place);
    if (team.slices > 1 && thread_index() == 0)
      raise_flag(&team.flags[std::int64_t{group} * team.slices + slice], static_cast<std::uint32_t>(round),
                 place);
  }
  /// Waits for all blocks of the group to have published a round. All lanes call.
  SCRAWL_DEVICE void wait(int round, Place place = Place::here()) const {
    if (team.slices == 1) return;
    if (thread_index() < team.slices)
      wait_flag(&team.flags[std::int64_t{group} * team.slices + thread_index()],
                static_cast<std::uint32_t>(round), place);
    sync_block(place);
  }
};

/// A warp's part of the weights, and products with it.
template <class T>
class ResidentWeights {
 public:
  /// `rest`: the lane's shared memory for depths that are not in registers, its vectors a warp's apart.
  SCRAWL_DEVICE ResidentWeights(const Member& own, LaneWords* rest) : depths_(own.team.depths), rest_(rest) {
    const auto* const from =
        own.team.weights +
        (std::int64_t{own.direction} * own.team.parts + own.part) * Team::part_words(depths_) +
        lane_index() * Tile::words;
#pragma unroll
    for (int k = 0; k < Tile::in_registers; ++k)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        if (k < depths_) held_[k][half] = load_vector<Tile::words>(from + (2 * k + half) * stride);
    for (int i = 2 * Tile::in_registers; i < 2 * depths_; ++i)
      rest_[(i - 2 * Tile::in_registers) * warp_size] = load_vector<Tile::words>(from + i * stride);
  }

  /// Adds factor (depths, lanes, 4) x weights.
  SCRAWL_DEVICE void add_product(Accumulator (&sums)[Tile::columns], const std::uint32_t* factor) const {
    factor += lane_index() * Tile::words;
    LaneWords a[Tile::in_flight];
    load(a, factor, 0);
#pragma unroll
    for (int k = 0; k < Tile::in_flight; ++k)
      if (k < depths_) {
        if (k < Tile::in_registers)
          add(sums, a[k], held_[k < Tile::in_registers ? k : 0][0], held_[k < Tile::in_registers ? k : 0][1]);
        else
          add_from_memory(sums, a[k], k);
      }
#pragma unroll 1
    for (int first = Tile::in_flight; first < depths_; first += Tile::in_flight) {
      load(a, factor, first);
#pragma unroll
      for (int k = 0; k < Tile::in_flight; ++k)
        if (first + k < depths_) add_from_memory(sums, a[k], first + k);
    }
  }

 private:
  static constexpr int stride = warp_size * Tile::words;

  SCRAWL_DEVICE void load(LaneWords (&a)[Tile::in_flight], const std::uint32_t* factor, int first) const {
#pragma unroll
    for (int k = 0; k < Tile::in_flight; ++k)
      if (first + k < depths_) a[k] = load_vector<Tile::words>(factor + (first + k) * stride);
  }
  SCRAWL_DEVICE void add_from_memory(Accumulator (&sums)[Tile::columns], const LaneWords& a, int k) const {
    const auto* const from = rest_ + 2 * (k - Tile::in_registers) * warp_size;
    add(sums, a, from[0], from[warp_size]);
  }
  SCRAWL_DEVICE static void add(Accumulator (&sums)[Tile::columns], const LaneWords& a,
                                const LaneWords& first, const LaneWords& second) {
    const Words<4> left{{a[0], a[1], a[2], a[3]}};
    multiply_add<T>(sums[0], left, Words<2>{{first[0], first[1]}});
    multiply_add<T>(sums[1], left, Words<2>{{first[2], first[3]}});
    multiply_add<T>(sums[2], left, Words<2>{{second[0], second[1]}});
    multiply_add<T>(sums[3], left, Words<2>{{second[2], second[3]}});
  }

  int depths_;
  LaneWords* rest_;
  LaneWords held_[Tile::in_registers][2];
};

/// What a lane keeps of its two samples of a tile, in its own shared memory.
struct KeptCells {
  alignas(16) float c[4];  ///< of two units each
  int lengths[2];          ///< -1: no such cell
};

template <class T>
SCRAWL_DEVICE std::uint32_t pair_of(const Floats<2>& x) {
  return from_float<T>(x[0]).bits | std::uint32_t{from_float<T>(x[1]).bits} << 16;
}

}  // namespace SCRAWL_CUDA
