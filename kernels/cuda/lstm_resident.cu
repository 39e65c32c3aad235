/// LSTM whose weights never move: the blocks of a launch hold all recurrent weights, in registers and shared
/// memory, and take their samples through all steps. At each, blocks that share samples exchange h, or the
/// gradients of the gates, through global memory and raise flags; blocks of other samples never meet. Tensor
/// cores multiply; c and its gradient stay with the lane that has the cell.
///
/// Prediction, nothing here is measured: H 256, bf16, 16 samples a group, 8 blocks of 4 warps. Forward, a
/// warp and step: 64 mma; a block reads 8 KiB of h a warp and 4 x 4 KiB of weights from shared memory, 8 KiB
/// of sums and writes 1 KiB of h, 10 KiB of reserve; the exchange is one release and one acquire, about two
/// trips to L2 and back. 1.5 us a step, of which 0.3 are products. Backward: 64 mma, 32 KiB of gradients a
/// block, 16 KiB of partial sums through shared memory: 2 us.

#include "kernels/cuda/lstm_resident.h"

#include <algorithm>

namespace SCRAWL_CUDA {

namespace {

enum class Way : std::uint8_t { forward, backward };

/// Factors that a group exchanges: h, or the gradients of each gate.
template <Way kWay>
inline constexpr int factors = kWay == Way::forward ? 1 : Gate::count;

struct Packing {
  static constexpr int threads = 256;
};

/// Orders w (D,4H,H) as ResidentWeights wants it, zero beyond H, and lowers the flags.
template <class T, Way kWay>
SCRAWL_KERNEL SCRAWL_THREADS(Packing::threads) void pack_weights(const T* w, int directions, int hidden,
                                                                 int parts, std::uint32_t* packed,
                                                                 std::uint32_t* flags, int flag_count) {
  const auto i = std::int64_t{block_index().x} * Packing::threads + thread_index();
  if (i < flag_count) flags[i] = 0;
  const int depths = hidden / Tile::depth, half = static_cast<int>(i / warp_size % 2),
            depth = static_cast<int>(i / (2 * warp_size) % depths);
  const auto of_all = i / (2 * warp_size) / depths;
  const int part = static_cast<int>(of_all % parts), direction = static_cast<int>(of_all / parts);
  if (direction >= directions) return;
  const int g = lane_index() / 4, t = lane_index() % 4;
  LaneWords words;
#pragma unroll
  for (int word = 0; word < Tile::words; ++word) {
    const int column = half * 2 + word / 2, k = depth * Tile::depth + word % 2 * 8 + 2 * t;
    const int unit = kWay == Way::forward ? part * Tile::units + g
                                          : part / Gate::count * (Tile::columns * 8) + column * 8 + g;
    words[word] = 0;
    if (unit >= hidden) continue;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const auto row = kWay == Way::forward ? column * hidden + unit : part % Gate::count * hidden + k + e;
      const auto at = (std::int64_t{direction} * Gate::count * hidden + row) * hidden +
                      (kWay == Way::forward ? k + e : unit);
      words[word] |= std::uint32_t{w[at].bits} << (16 * e);
    }
  }
  store_vector(packed + i * Tile::words, words);
}

/// A lane's sums of a fragment, as far as one gate's gradients make them.
using Partial = Vector<float, 4>;

/// A lane's shared memory.
struct LaneMemory {
  LaneWords* rest;
  KeptCells* kept;   ///< by tile, a block's lanes apart
  Partial* partial;  ///< (2, gates, lanes), of the block

  SCRAWL_DEVICE explicit LaneMemory(const Team& team) {
    auto* const begin = &shared_memory<LaneWords>();
    const int rest_of_warp =
        team.depths > Tile::in_registers ? (team.depths - Tile::in_registers) * 2 * warp_size : 0;
    rest = begin + warp_index() * rest_of_warp + lane_index();
    auto* const all_kept = reinterpret_cast<KeptCells*>(begin + team.warps * rest_of_warp);
    kept = all_kept + thread_index();
    partial = reinterpret_cast<Partial*>(all_kept + team.tiles * team.warps * warp_size);
  }

  static std::int64_t bytes(Way way, int warps, int tiles, int depths) {
    const std::int64_t lanes = warps * warp_size, rest = std::max(0, depths - Tile::in_registers) * 2,
                       partials = way == Way::forward ? 0 : 2 * Gate::count;
    return lanes * (rest * std::int64_t{sizeof(LaneWords)} + tiles * std::int64_t{sizeof(KeptCells)} +
                    partials * std::int64_t{sizeof(Partial)});
  }
};

struct Resident {
  static constexpr int most_threads = 256;
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Resident::most_threads, 1) void resident_forward(ForwardCells<T> cells,
                                                                              Team team) {
  const auto& of = cells.of;
  const Member own(team, of.directions);
  const LaneMemory memory(team);
  const ResidentWeights<T> weights(own, memory.rest);
  const int lanes = block_size();
  const bool is_active = own.unit < of.hidden;

  for (int tile = 0; tile < team.tiles; ++tile) {
    auto& kept = memory.kept[tile * lanes];
    Vector<std::uint32_t, 2> h{};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int n = own.sample(tile, half, of.directions);
      const bool is_inside = is_active && n < of.samples;
      kept.lengths[half] = is_inside ? of.length(n) : -1;
      if (!is_inside) continue;
      const auto state = cells.template begin<2>(own.direction, n, own.unit, kept.lengths[half]);
      h[half] = pair_of<T>(state.h);
      kept.c[2 * half] = state.c[0];
      kept.c[2 * half + 1] = state.c[1];
    }
    if (is_active) store_vector(own.own(own.factors(tile, 0, 1)), h);
  }
  own.publish(1);

  GateFloats<2> inputs[2];
  const auto fetch = [&](int tile, int s) {
    const auto& kept = memory.kept[tile * lanes];
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (s < kept.lengths[half]) {
        const int n = own.sample(tile, half, of.directions);
        inputs[half] =
            cells.template load<2>(of.time(s, own.direction, kept.lengths[half]), n, own.direction, own.unit);
      }
  };
#pragma unroll 1
  for (int s = 0; s < of.steps; ++s) {
    fetch(0, s);  // on its way while others come
    own.wait(s + 1);
#pragma unroll 1
    for (int tile = 0; tile < team.tiles; ++tile) {
      auto& kept = memory.kept[tile * lanes];
      Accumulator sums[Tile::columns];
      weights.add_product(sums, own.factors(tile, s % 2, 1));
      Vector<std::uint32_t, 2> h{};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int n = own.sample(tile, half, of.directions), length = kept.lengths[half];
        if (length < 0) continue;
        if (s >= length) {
          cells.template pass<2>(s, own.direction, n, own.unit);
          continue;
        }
#pragma unroll
        for (int gate = 0; gate < Gate::count; ++gate)
#pragma unroll
          for (int u = 0; u < 2; ++u) inputs[half].of[gate][u] += sums[gate].f[2 * half + u];
        typename ForwardCells<T>::template State<2> state{.c = {{kept.c[2 * half], kept.c[2 * half + 1]}}};
        cells.step(s, own.direction, n, own.unit, length, inputs[half], state);
        h[half] = pair_of<T>(state.h);
        kept.c[2 * half] = state.c[0];
        kept.c[2 * half + 1] = state.c[1];
      }
      if (is_active) store_vector(own.own(own.factors(tile, (s + 1) % 2, 1)), h);
      if (tile + 1 < team.tiles) fetch(tile + 1, s);
    }
    own.publish(s + 2);
  }
}

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Resident::most_threads, 1) void resident_backward(BackwardCells<T> cells,
                                                                               Team team) {
  const auto& of = cells.of;
  const Member own(team, of.directions);
  const LaneMemory memory(team);
  const ResidentWeights<T> weights(own, memory.rest);
  const int lanes = block_size();
  const bool is_active = own.unit < of.hidden;

  for (int tile = 0; tile < team.tiles; ++tile) {
    auto& kept = memory.kept[tile * lanes];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int n = own.sample(tile, half, of.directions);
      const bool is_inside = is_active && n < of.samples;
      kept.lengths[half] = is_inside ? of.length(n) : -1;
      if (!is_inside) continue;
      const auto gradient = cells.template begin<2>(own.direction, n, own.unit);
      if (kept.lengths[half] == 0) cells.end(own.direction, n, own.unit, gradient);
      kept.c[2 * half] = gradient.c[0];
      kept.c[2 * half + 1] = gradient.c[1];
    }
  }

  typename BackwardCells<T>::template Kept<2> forward[2];
  const auto fetch = [&](int tile, int s) {
    const auto& kept = memory.kept[tile * lanes];
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (s >= 0 && s < kept.lengths[half])
        forward[half] = cells.template load<2>(s, own.direction, own.sample(tile, half, of.directions),
                                               own.unit, kept.lengths[half]);
  };
  const int last = cells.dh0 || cells.dc0 ? -1 : 0;
#pragma unroll 1
  for (int s = of.steps - 1; s >= last; --s) {
    const int round = of.steps - 1 - s;
    fetch(0, s);  // on its way while others come
    if (round > 0) own.wait(round);
#pragma unroll 1
    for (int tile = 0; tile < team.tiles; ++tile) {
      auto& kept = memory.kept[tile * lanes];
      Accumulator dh;
      if (round > 0) {
        Accumulator sums[Tile::columns];
        const auto* const gradients = own.factors(tile, (round + 1) % 2, Gate::count);
        const int gate_words = team.depths * warp_size * Tile::words, gate = warp_index() % Gate::count;
        weights.add_product(sums, gradients + gate * gate_words);
        auto* const partial = memory.partial + tile % 2 * Gate::count * lanes;
#pragma unroll
        for (int j = 0; j < Tile::columns; ++j)
          store_vector(&partial[gate * lanes + (warp_index() / Gate::count * Tile::columns + j) * warp_size +
                                lane_index()]
                            .values[0],
                       Partial{{sums[j].f[0], sums[j].f[1], sums[j].f[2], sums[j].f[3]}});
        sync_block();
#pragma unroll
        for (int i = 0; i < Gate::count; ++i) {
          const auto part = load_vector<4>(&partial[i * lanes + thread_index()].values[0]);
#pragma unroll
          for (int e = 0; e < 4; ++e) dh.f[e] += part[e];
        }
      }
      Vector<std::uint32_t, 2> gradients[Gate::count] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int n = own.sample(tile, half, of.directions), length = kept.lengths[half];
        if (length < 0) continue;
        if (s >= length) {
          if (s >= 0) cells.template pass<2>(s, own.direction, n, own.unit);
          continue;
        }
        auto gradient = cells.template begin<2>(own.direction, n, own.unit);
        if (s < length - 1)
          gradient = {{{dh.f[2 * half], dh.f[2 * half + 1]}}, {{kept.c[2 * half], kept.c[2 * half + 1]}}};
        if (s < 0) {
          cells.end(own.direction, n, own.unit, gradient);
          continue;
        }
        const auto d = cells.step(s, own.direction, n, own.unit, length, forward[half], gradient);
#pragma unroll
        for (int gate = 0; gate < Gate::count; ++gate) gradients[gate][half] = pair_of<T>(d.of[gate]);
        kept.c[2 * half] = gradient.c[0];
        kept.c[2 * half + 1] = gradient.c[1];
      }
      if (is_active && s > last) {
        auto* const to = own.own(own.factors(tile, round % 2, Gate::count));
#pragma unroll
        for (int gate = 0; gate < Gate::count; ++gate)
          store_vector(to + gate * team.depths * warp_size * Tile::words, gradients[gate]);
      }
      if (tile + 1 < team.tiles) fetch(tile + 1, s);
    }
    own.publish(round + 1);
  }
}

// ---------------------------------------------------------------------------------------------- launchers

/// How a call's cells are shared, by one block a multiprocessor at a time.
struct Sharing {
  int warps, tiles, slices;
  std::int64_t groups, groups_at_once;
  std::size_t shared_bytes;

  /// Shapes with short steps come first; those that follow need fewer blocks. Where none takes all groups at
  /// once, the last that fits takes them in turns.
  static Sharing of(Way way, const LstmExtents& e, int multiprocessors) {
    struct Shape {
      int warps, tiles;
    };
    static constexpr Shape shapes[] = {{4, 1}, {8, 1}, {8, 2}, {8, 4}};
    Sharing best{};
    for (const auto& [warps, tiles] : shapes) {
      const auto units = std::int64_t{warps} * Tile::units, samples = std::int64_t{tiles} * Tile::samples,
                 slices = (e.hidden + units - 1) / units, at_once = multiprocessors / slices;
      const auto bytes = static_cast<std::size_t>(
          LaneMemory::bytes(way, warps, tiles, static_cast<int>(e.hidden / Tile::depth)));
      if (bytes > most_shared_bytes || at_once == 0) continue;
      best = {.warps = warps,
              .tiles = tiles,
              .slices = static_cast<int>(slices),
              .groups = e.directions * ((e.samples + samples - 1) / samples),
              .groups_at_once = at_once,
              .shared_bytes = bytes};
      if (best.groups <= at_once) break;
    }
    if (best.warps == 0)
      throw Refused("needs weights of H = {} to fit {} multiprocessors of {} bytes of shared memory",
                    e.hidden, multiprocessors, most_shared_bytes);
    return best;
  }
};

/// What is in the workspace.
struct Pieces {
  std::uint32_t *weights, *exchange, *flags;
};

template <Way kWay, class Cells, class Call>
Recurrence<Call, Cells> plan_resident(const Call& call, const Selection& selection) {
  const auto e = lstm_extents(call);
  if (call.x.type == DType::f32) throw Refused("needs bf16 or f16, got f32");
  if (e.hidden % Tile::depth != 0) throw Refused("needs H % {} == 0, got {}", int{Tile::depth}, e.hidden);
  const auto sharing = Sharing::of(kWay, e, selection.multiprocessors);
  constexpr std::int64_t most_units = 64;  // of a block: parts are packed for any
  const auto depths = e.hidden / Tile::depth,
             parts = (e.hidden + most_units - 1) / most_units * most_units / Tile::units,
             vectors = e.directions * parts * depths * 2 * warp_size, flags = sharing.groups * sharing.slices;
  const auto take = [=](Workspace& workspace) {
    Pieces pieces;
    pieces.weights = workspace.take<std::uint32_t>(vectors * Tile::words);
    pieces.exchange = workspace.take<std::uint32_t>(sharing.groups * sharing.tiles * 2 * factors<kWay> *
                                                    depths * warp_size * Tile::words);
    pieces.flags = workspace.take<std::uint32_t>(flags);
    return pieces;
  };
  Workspace counted;
  take(counted);
  const auto run = [=]<class T>(const Call& c, const Cells& cells, const Pieces& pieces, Stream stream) {
    launch({.kernel = "lstm_pack",
            .blocks = {blocks_for(std::max(vectors, flags), Packing::threads)},
            .threads = Packing::threads,
            .stream = stream},
           pack_weights<T, kWay>, c.w_hh.template as<const T>(), static_cast<int>(e.directions),
           static_cast<int>(e.hidden), static_cast<int>(parts), pieces.weights, pieces.flags,
           static_cast<int>(flags));
    for (std::int64_t first = 0; first < sharing.groups; first += sharing.groups_at_once) {
      const auto groups = std::min(sharing.groups - first, sharing.groups_at_once);
      const Team team{.warps = sharing.warps,
                      .tiles = sharing.tiles,
                      .slices = sharing.slices,
                      .depths = static_cast<int>(depths),
                      .first_group = static_cast<int>(first),
                      .weights = pieces.weights,
                      .parts = static_cast<int>(parts),
                      .exchange = pieces.exchange,
                      .flags = pieces.flags};
      const Launch l{.kernel = kWay == Way::forward ? "lstm_resident" : "lstm_resident_backward",
                     .blocks = {blocks_for(groups * sharing.slices, 1)},
                     .threads = sharing.warps * warp_size,
                     .shared_bytes = sharing.shared_bytes,
                     .residency = Residency::together,
                     .stream = stream};
      if constexpr (kWay == Way::forward)
        launch(l, resident_forward<T>, cells_of<T>(c, cells), team);
      else
        launch(l, resident_backward<T>, cells_of<T>(c, cells), team);
    }
  };
  return {.workspace_bytes = counted.bytes(),
          .run = [=](const Call& c, const Cells& cells, Bytes bytes, Stream stream) {
            Workspace workspace(bytes);
            const auto pieces = take(workspace);
            if (c.x.type == DType::bf16)
              run.template operator()<bf16>(c, cells, pieces, stream);
            else
              run.template operator()<f16>(c, cells, pieces, stream);
          }};
}

}  // namespace

ForwardRecurrence resident(const LstmForward& call, const Selection& selection) {
  return plan_resident<Way::forward, LstmSums>(call, selection);
}

BackwardRecurrence resident(const LstmBackward& call, const Selection& selection) {
  return plan_resident<Way::backward, LstmGradients>(call, selection);
}

}  // namespace SCRAWL_CUDA
