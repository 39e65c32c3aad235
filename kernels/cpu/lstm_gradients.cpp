#include <vector>

#include "kernels/cpu/lstm_backward.h"
#include "kernels/cpu/transpose.h"

namespace scrawl::cpu {
namespace {

/// Cells whose dx is made together: their gates stay in L2 while the weights pass.
constexpr std::int64_t input_cells = 128;

/// Panels of features that share one pass over the gates, which come from L3.
constexpr std::int64_t group_panels = 4;

/// One thread's work on the weights' gradients, (features, gates) until they are stored. Sums run over cells:
/// pairs of them are made of neighbouring rows of the gates.
template <class T, class Element>
class WeightGradient {
 public:
  /// Made without a workspace it only counts bytes.
  WeightGradient(const LstmBackwardPass<Element>& pass, Workspace& workspace)
      : pass_(pass),
        extents_(pass.extents),
        features_(workspace.take<Value>(group_panels * tile_columns * most_cells)),
        paired_(workspace.take<Element>(values > 1 ? panel_depth * tile_columns : 0)),
        sums_(workspace.take<float>(group_panels * sums_of_panel())) {}

  /// Panels of one direction: those of dw_ih, then those of dw_hh.
  static std::int64_t panels(const LstmExtents& extents) {
    return panels_of(extents.inputs) + panels_of(extents.hidden);
  }

  /// `count` panels, at most group_panels.
  void run(std::int64_t direction, std::int64_t first, std::int64_t count) {
    std::fill_n(sums_, count * sums_of_panel(), 0.0f);
    const std::int64_t cells = pass_.valid.count();
    for (std::int64_t begin = 0; begin < cells; begin += most_cells) {
      const std::int64_t here = std::min(most_cells, cells - begin);
      for (std::int64_t i = 0; i < count; ++i) gather(direction, part(direction, first + i), begin, here, i);
      for (std::int64_t block = 0; block < extents_.blocks(); ++block) {
        const Element* const panel = gates_panel(pass_.gates_at(direction, block, begin), here);
        const auto next_block = (block + 1) % extents_.blocks();
        for (std::int64_t i = 0; i < count; ++i)
          multiply_panel<Element>(
              {.rows = part(direction, first + i).count,
               .runs = {1, elements_for<Element>(here), 0},
               .panel = panel,
               .init = sums_at(i, block),
               .init_stride = tile_columns,
               .out = sums_at(i, block),
               .next = elements<Element>(pass_.gates_at(direction, next_block, begin))},
              [&](std::int64_t feature) { return elements<Element>(features_at(i, feature)); });
      }
    }
    for (std::int64_t i = 0; i < count; ++i) store_panel(part(direction, first + i), i);
  }

 private:
  using Value = typename Operand<Element>::Value;
  static constexpr std::int64_t values = Operand<Element>::values,
                                most_cells = panel_depth * values;  ///< summed at a time

  enum class Source : std::uint8_t { inputs, hidden };

  /// Columns [first, first + count) of a weight (4H, depth), and what the weight was multiplied with.
  struct Part {
    Source source;
    std::int64_t first, count, depth;
    float* dw;
  };

  Part part(std::int64_t direction, std::int64_t panel) const {
    const std::int64_t input_panels = panels_of(extents_.inputs);
    const bool of_inputs = panel < input_panels;
    const std::int64_t depth = of_inputs ? extents_.inputs : extents_.hidden,
                       first = (of_inputs ? panel : panel - input_panels) * tile_columns;
    const View& dw = of_inputs ? pass_.call.dw_ih : pass_.call.dw_hh;
    return {of_inputs ? Source::inputs : Source::hidden, first,
            std::min<std::int64_t>(tile_columns, depth - first), depth,
            dw.as<float>() + direction * 4 * extents_.hidden * depth};
  }

  /// x, or h of the step before, of a cell; null where it is zero.
  const T* feature_source(Source source, std::int64_t direction, std::int64_t place) const {
    const auto& call = pass_.call;
    if (source == Source::inputs) return call.x.template as<T>() + place * extents_.inputs;
    const std::int64_t time = place / extents_.batch, sample = place % extents_.batch,
                       before = direction == 0 ? time - 1 : time + 1;
    if (before >= 0 && pass_.valid.valid(before, sample))
      return call.y.template as<T>() +
             ((before * extents_.batch + sample) * extents_.directions + direction) * extents_.hidden;
    if (!call.h0.present()) return nullptr;
    return call.h0.template as<T>() + (direction * extents_.batch + sample) * extents_.hidden;
  }

  /// Rows of gates (cells, 64) as elements of the axis of cells; what is missing to a whole one is zero.
  const Element* gates_panel(const Value* rows, std::int64_t cells) {
    if constexpr (values == 1) return rows;
    for (std::int64_t cell = 0; cell < cells; cell += values)
      for (std::int64_t c = 0; c < tile_columns; c += lanes) {
        const Value* const from = rows + cell * tile_columns + c;
        const f32x16 second = cell + 1 < cells ? load(from + tile_columns) : f32x16{};
        store_bits(paired_ + cell / values * tile_columns + c, Operand<Element>::joined(load(from), second));
      }
    return paired_;
  }

  /// features (count, depth) of `depth` cells from `begin` on, zero up to a multiple of 16 cells.
  void gather(std::int64_t direction, const Part& part, std::int64_t begin, std::int64_t depth,
              std::int64_t index) {
    const auto places = pass_.valid.places();
    for (std::int64_t cell = 0; cell < depth; cell += lanes) {
      const T* from[lanes] = {};
      for (std::int64_t i = 0; i < std::min<std::int64_t>(lanes, depth - cell); ++i)
        from[i] = feature_source(part.source, direction, places[static_cast<std::size_t>(begin + cell + i)]);
      for (std::int64_t feature = 0; feature < part.count; feature += lanes) {
        const auto columns = static_cast<int>(std::min<std::int64_t>(lanes, part.count - feature));
        f32x16 square[lanes];
        for (int i = 0; i < lanes; ++i)
          square[i] = from[i] != nullptr ? load(from[i] + part.first + feature, columns) : f32x16{};
        transpose(square);
        for (int i = 0; i < columns; ++i) store(features_at(index, feature + i) + cell, square[i]);
      }
    }
  }

  /// Sums (features, gates) into dw (gates, features).
  void store_panel(const Part& part, std::int64_t index) const {
    for (std::int64_t block = 0; block < extents_.blocks(); ++block)
      for (std::int64_t gate = 0; gate < 4; ++gate)
        for (std::int64_t feature = 0; feature < part.count; feature += lanes) {
          f32x16 square[lanes];
          for (int i = 0; i < lanes; ++i)
            square[i] = load(sums_at(index, block) + (feature + i) * tile_columns + gate * lanes);
          transpose(square);
          const std::int64_t unit = block * lanes;
          const auto columns = static_cast<int>(std::min<std::int64_t>(lanes, part.count - feature));
          for (std::int64_t u = 0; u < std::min<std::int64_t>(lanes, extents_.hidden - unit); ++u)
            store(part.dw + (gate * extents_.hidden + unit + u) * part.depth + part.first + feature,
                  square[u], columns);
        }
  }

  Value* features_at(std::int64_t index, std::int64_t feature) const {
    return features_ + (index * tile_columns + feature) * most_cells;
  }
  std::int64_t sums_of_panel() const { return extents_.blocks() * tile_columns * tile_columns; }
  float* sums_at(std::int64_t index, std::int64_t block) const {
    return sums_ + index * sums_of_panel() + block * tile_columns * tile_columns;
  }

  const LstmBackwardPass<Element>& pass_;
  const LstmExtents& extents_;
  Value* features_;
  Element* paired_;
  float* sums_;
};

/// One direction's db (4H).
template <class Element>
void differentiate_bias(const LstmBackwardPass<Element>& pass, std::int64_t direction) {
  const std::int64_t hidden = pass.extents.hidden;
  float* db = pass.call.db.template as<float>() + direction * 4 * hidden;
  for (std::int64_t block = 0; block < pass.extents.blocks(); ++block) {
    f32x16 sums[tile_columns / lanes] = {};
    const auto* d_sums = pass.gates_at(direction, block, 0);
    for (std::int64_t row = 0; row < pass.valid.count(); ++row)
      for (auto& sum : sums) {
        sum += load(d_sums);
        d_sums += lanes;
      }
    const auto units = static_cast<int>(std::min<std::int64_t>(lanes, hidden - block * lanes));
    for (std::int64_t gate = 0; gate < 4; ++gate)
      store(db + gate * hidden + block * lanes, sums[gate], units);
  }
}

}  // namespace

template <class T, class Element>
void differentiate_inputs(const LstmBackwardPass<Element>& pass, int threads) {
  const auto& extents = pass.extents;
  const auto places = pass.valid.places();
  const std::int64_t count = pass.valid.count(), inputs = extents.inputs;
  T* dx = pass.call.dx.template as<T>();
  for (std::int64_t n = 0; n < extents.batch; ++n)
    for (std::int64_t t = pass.valid.length(n); t < extents.steps; ++t)
      std::fill_n(dx + (t * extents.batch + n) * inputs, inputs, T{});

  const auto differentiate = [&](std::int64_t begin, std::int64_t rows) {
    for (std::int64_t panel = 0; panel < panels_of(inputs); ++panel) {
      alignas(64) float sums[input_cells * tile_columns];
      multiply_panel<Element>(
          {.rows = rows,
           .runs = pass.gate_runs(extents.directions),
           .panel = pass.w_ih + panel * extents.directions * pass.panel_size(),
           .init = zero_row,
           .init_stride = 0,
           .out = sums},
          [&](std::int64_t i) { return elements<Element>(pass.gates_at(0, 0, begin + i)); });
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t c = 0, column = panel * tile_columns; c < tile_columns && column < inputs;
             c += lanes, column += lanes)
          store(dx + places[static_cast<std::size_t>(begin + i)] * inputs + column,
                load(sums + i * tile_columns + c),
                static_cast<int>(std::min<std::int64_t>(lanes, inputs - column)));
    }
  };
  parallel_for(threads, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += input_cells) differentiate(i, std::min(input_cells, end - i));
  });
}

template <class Element>
void reserve_for_parameters(const LstmBackwardPass<Element>& pass, int threads, Workspace& workspace) {
  for (int thread = 0; thread < threads; ++thread) WeightGradient<float, Element>(pass, workspace);
}

template <class T, class Element>
void differentiate_parameters(const LstmBackwardPass<Element>& pass, int threads, Workspace& workspace) {
  using Gradient = WeightGradient<T, Element>;
  const std::int64_t panels = Gradient::panels(pass.extents);
  std::vector<Gradient> gradients;
  for (int thread = 0; thread < threads; ++thread) gradients.emplace_back(pass, workspace);
  // Each thread takes neighbouring panels, of one direction as long as there are some.
  const std::int64_t total = pass.extents.directions * panels;
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t thread = begin; thread < end; ++thread) {
      const std::int64_t last = total * (thread + 1) / threads;
      for (std::int64_t i = total * thread / threads; i < last;) {
        const std::int64_t direction = i / panels, panel = i % panels,
                           count = std::min({group_panels, panels - panel, last - i});
        gradients[static_cast<std::size_t>(thread)].run(direction, panel, count);
        if (panel == 0) differentiate_bias(pass, direction);
        i += count;
      }
    }
  });
}

template void reserve_for_parameters(const LstmBackwardPass<float>&, int, Workspace&);
template void reserve_for_parameters(const LstmBackwardPass<bf16_pair>&, int, Workspace&);
template void differentiate_inputs<float>(const LstmBackwardPass<float>&, int);
template void differentiate_inputs<bf16>(const LstmBackwardPass<float>&, int);
template void differentiate_inputs<f16>(const LstmBackwardPass<float>&, int);
template void differentiate_inputs<bf16>(const LstmBackwardPass<bf16_pair>&, int);
template void differentiate_parameters<float>(const LstmBackwardPass<float>&, int, Workspace&);
template void differentiate_parameters<bf16>(const LstmBackwardPass<float>&, int, Workspace&);
template void differentiate_parameters<f16>(const LstmBackwardPass<float>&, int, Workspace&);
template void differentiate_parameters<bf16>(const LstmBackwardPass<bf16_pair>&, int, Workspace&);

}  // namespace scrawl::cpu
