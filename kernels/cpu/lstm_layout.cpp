#include "kernels/cpu/lstm_layout.h"

#include <numeric>

#include "kernels/cpu/onednn.h"
#include "kernels/cpu/panel.h"

namespace scrawl::cpu {
namespace {

constexpr std::int64_t gates = 4;

}  // namespace

LstmCells::LstmCells(const LstmExtents& extents, Workspace& workspace)
    : steps_(extents.steps),
      batch_(extents.batch),
      lengths_(workspace.take<std::int32_t>(extents.batch)),
      rows_(workspace.take<std::int32_t>(extents.cells())),
      places_(workspace.take<std::int32_t>(extents.cells())) {}

void LstmCells::list(const View& lengths) {
  count_ = 0;
  const auto steps = static_cast<std::int32_t>(steps_);
  for (std::int64_t n = 0; n < batch_; ++n)
    lengths_[n] = lengths.present() ? std::clamp(lengths.as<std::int32_t>()[n], 0, steps) : steps;
  for (std::int64_t t = 0; t < steps_; ++t)
    for (std::int64_t n = 0; n < batch_; ++n) {
      if (!valid(t, n)) continue;
      const auto place = static_cast<std::int32_t>(t * batch_ + n);
      rows_[place] = static_cast<std::int32_t>(count_);
      places_[count_++] = place;
    }
}

std::int64_t LstmCells::count_at(const LstmLane& lane, std::int64_t step) const {
  return std::count_if(lengths_ + lane.first_sample, lengths_ + lane.first_sample + lane.samples,
                       [&](std::int32_t length) { return step < length; });
}

std::int64_t LstmCells::of_step(const LstmLane& lane, std::int64_t step, LstmCell* cells) const {
  std::int64_t count = 0;
  for (std::int64_t n = lane.first_sample; n < lane.first_sample + lane.samples; ++n) {
    if (step >= lengths_[n]) continue;
    const std::int64_t time = lane.direction == 0 ? step : lengths_[n] - 1 - step;
    cells[count++] = {static_cast<std::int32_t>(time), static_cast<std::int32_t>(n), row(time, n)};
  }
  return count;
}

std::vector<LstmLane> lstm_lanes(const LstmExtents& extents, int threads) {
  const std::int64_t fair = threads / std::gcd<std::int64_t>(threads, extents.directions),
                     parts = std::clamp<std::int64_t>(fair, 1, std::max<std::int64_t>(extents.batch, 1));
  std::vector<LstmLane> lanes;
  for (std::int64_t direction = 0; direction < extents.directions; ++direction)
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = extents.batch * part / parts;
      lanes.push_back({direction, first, extents.batch * (part + 1) / parts - first});
    }
  return lanes;
}

template <class Element>
void place_as_gate_columns(View& w, const LstmExtents& extents) {
  constexpr std::int64_t values = Operand<Element>::values;
  const std::int64_t depth = w.shape[2], row = tile_columns * values,
                     panel = elements_for<Element>(depth) * row;
  // Plain (D,4,H,K), whose blocking is then rewritten: oneDNN has no tag for it.
  dnnl::memory::desc desc({extents.directions, gates, extents.hidden, depth}, onednn_type(w.type),
                          dnnl::memory::format_tag::abcd);
  desc.data.padded_dims[2] = extents.padded_hidden();
  desc.data.padded_dims[3] = elements_for<Element>(depth) * values;
  auto& blocking = desc.data.format_desc.blocking;
  blocking.inner_nblks = values > 1 ? 2 : 1;
  blocking.inner_idxs[0] = 2;
  blocking.inner_blks[0] = lanes;
  blocking.inner_idxs[1] = 3;
  blocking.inner_blks[1] = values;
  const std::int64_t strides[] = {extents.blocks() * panel, lanes * values, panel, row};
  std::copy(std::begin(strides), std::end(strides), blocking.strides);
  place(w, desc);
}

void pack_bias(const LstmExtents& extents, const float* b, float* packed) {
  for (std::int64_t block = 0; block < extents.blocks(); ++block)
    for (std::int64_t gate = 0; gate < gates; ++gate, packed += lanes) {
      const std::int64_t unit = block * lanes;
      const auto units = static_cast<int>(std::min<std::int64_t>(lanes, extents.hidden - unit));
      store(packed, load(b + gate * extents.hidden + unit, units));
    }
}

template <class T, class Element>
void pack_gate_columns(const LstmExtents& extents, const T* w, std::int64_t depth, std::int64_t block,
                       Element* panel) {
  const std::int64_t unit = block * lanes, units = std::min<std::int64_t>(lanes, extents.hidden - unit);
  for (std::int64_t gate = 0; gate < gates; ++gate)
    pack_columns(w + (gate * extents.hidden + unit) * depth, depth, static_cast<int>(units), depth,
                 panel + gate * lanes);
}

template <class T, class Element>
void pack_gate_rows(const LstmExtents& extents, const T* w, std::int64_t depth, std::int64_t first,
                    Element* panel) {
  constexpr int values = Operand<Element>::values;
  const auto row = [&](std::int64_t gate, std::int64_t unit, std::int64_t column) {
    const auto left = std::clamp<std::int64_t>(depth - column, 0, lanes);
    const auto count = unit < extents.hidden ? static_cast<int>(left) : 0;
    return load(w + (gate * extents.hidden + unit) * depth + column, count);
  };
  for (std::int64_t block = 0; block < extents.blocks(); ++block)
    for (std::int64_t gate = 0; gate < gates; ++gate)
      for (std::int64_t unit = block * lanes; unit < (block + 1) * lanes; unit += values)
        for (std::int64_t column = first; column < first + tile_columns; column += lanes, panel += lanes)
          store_bits(panel,
                     Operand<Element>::joined(row(gate, unit, column), row(gate, unit + values - 1, column)));
}

template void place_as_gate_columns<float>(View&, const LstmExtents&);
template void place_as_gate_columns<bf16_pair>(View&, const LstmExtents&);
template void pack_gate_columns(const LstmExtents&, const float*, std::int64_t, std::int64_t, float*);
template void pack_gate_columns(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, float*);
template void pack_gate_columns(const LstmExtents&, const f16*, std::int64_t, std::int64_t, float*);
template void pack_gate_columns(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, bf16_pair*);
template void pack_gate_rows(const LstmExtents&, const float*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const f16*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, bf16_pair*);

}  // namespace scrawl::cpu
