#include "models/recognizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace scrawl {
namespace {

template <class T>
void upload(Device& device, const View& to, std::span<const T> values) {
  device.upload(to.data, std::as_bytes(values));
}

template <class T>
std::vector<T> download(Device& device, const View& from) {
  std::vector<T> values(static_cast<std::size_t>(from.shape.count()));
  device.synchronize();
  device.download(std::as_writable_bytes(std::span(values)), from.data);
  return values;
}

void fill_sequence_labels(Device& device, const Program& program, const Batch& batch, int classes,
                          std::int64_t frames, std::span<const std::int32_t> input_lengths) {
  const auto longest = program.input("labels").shape[1];
  std::vector<std::int32_t> padded(static_cast<std::size_t>(batch.n) * static_cast<std::size_t>(longest), 0);
  std::size_t from = 0;
  for (int n = 0; n < batch.n; ++n) {
    const auto length = static_cast<std::size_t>(batch.label_lengths[static_cast<std::size_t>(n)]);
    if (static_cast<std::int64_t>(length) > longest)
      throw InternalError("labels: room for {} classes, got {}", longest, length);
    std::copy_n(batch.labels.begin() + static_cast<std::ptrdiff_t>(from), length,
                padded.begin() + static_cast<std::ptrdiff_t>(n * longest));
    from += length;
  }
  check_ctc_labels(padded, batch.label_lengths, input_lengths, classes, frames, Alphabet::blank);
  upload<std::int32_t>(device, program.input("labels"), padded);
  upload<std::int32_t>(device, program.input("label_lengths"), batch.label_lengths);
}

}  // namespace

void fill_inputs(Device& device, const Program& program, const Batch& batch, const Recipe& recipe,
                 int classes, std::int64_t frames) {
  upload<std::uint8_t>(device, program.input("pixels"), batch.pixels);
  if (program.has_input("widths")) upload<std::int32_t>(device, program.input("widths"), batch.widths);
  std::vector<std::int32_t> lengths(static_cast<std::size_t>(batch.n), static_cast<std::int32_t>(frames));
  if (recipe.valid_widths)
    for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = frames_of(recipe, batch.widths[i]);
  if (program.has_input("input_lengths"))
    upload<std::int32_t>(device, program.input("input_lengths"), lengths);
  if (program.has_input("labels")) fill_sequence_labels(device, program, batch, classes, frames, lengths);
  if (program.has_input("targets")) upload<std::int32_t>(device, program.input("targets"), batch.labels);
}

Recognizer::Shaped& Recognizer::program_for(const Batch& batch, NetworkUse use) {
  std::int64_t longest = 1;
  if (use == NetworkUse::evaluation && recipe_.target == Target::sequence) {
    longest = *std::ranges::max_element(batch.label_lengths);
    longest = (longest + 15) / 16 * 16;  // few programs for many lengths
  }
  const Key key{batch.n, batch.w, longest, use};
  auto found = programs_.find(key);
  if (found == programs_.end()) {
    const auto network = build_network(recipe_, alphabet_.classes(), {batch.n, batch.w, longest}, use, type_);
    auto plan = plan_program(network.graph, {}, device_.backend(), selection_, device_.choices());
    found = programs_
                .emplace(key, Shaped{std::make_unique<Program>(device_, storage_, arena_, std::move(plan)),
                                     network.frames})
                .first;
  }
  if (!prepared_[key]) {
    found->second.program->prepare();
    prepared_[key] = true;
  }
  return found->second;
}

std::vector<Recognizer::Reading> Recognizer::read(const Batch& batch, NetworkUse use, int alternatives) {
  auto& [program, frames] = program_for(batch, use);
  fill_inputs(device_, *program, batch, recipe_, alphabet_.classes(), frames);
  program->run();

  View log_p = program->output("log_probabilities");
  const auto values = download<float>(device_, log_p);
  log_p.data = const_cast<float*>(values.data());
  std::vector<std::int32_t> lengths(static_cast<std::size_t>(batch.n), static_cast<std::int32_t>(frames));
  if (recipe_.valid_widths) lengths = download<std::int32_t>(device_, program->output("lengths"));
  std::vector<float> losses(static_cast<std::size_t>(batch.n), 0.0f);
  if (use == NetworkUse::evaluation) losses = download<float>(device_, program->output("losses"));

  std::vector<Reading> readings;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    readings.push_back(reading(log_p, lengths, i, alternatives));
    readings.back().loss = losses[i];
  }
  return readings;
}

Recognizer::Reading Recognizer::reading(const View& log_p, const std::vector<std::int32_t>& lengths,
                                        std::size_t sample, int alternatives) const {
  const auto classes = log_p.shape[log_p.shape.rank - 1];
  if (recipe_.target == Target::sequence) {
    const auto n = log_p.shape[1];
    View one = make_view(log_p.as<float>() + static_cast<std::int64_t>(sample) * classes, DType::f32,
                         {log_p.shape[0], classes});
    one.strides[0] = n * classes;
    const auto decoded = decode_greedy(one, lengths[sample]);
    return {.text = alphabet_.decode(decoded.classes), .confidence = decoded.confidence()};
  }
  const std::span row(log_p.as<float>() + static_cast<std::int64_t>(sample) * classes,
                      static_cast<std::size_t>(classes));
  std::vector<std::int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  const auto listed = static_cast<std::ptrdiff_t>(
      std::clamp<std::size_t>(static_cast<std::size_t>(alternatives) + 1, 1, row.size()));
  std::ranges::partial_sort(order, order.begin() + listed, [&](auto a, auto b) {
    return std::pair(-row[static_cast<std::size_t>(a)], a) < std::pair(-row[static_cast<std::size_t>(b)], b);
  });
  const auto named = [&](std::int32_t c) { return alphabet_.decode(std::span(&c, 1)); };
  Reading best{.text = named(order[0]),
               .confidence = std::exp(row[static_cast<std::size_t>(order[0])]),
               .class_index = order[0]};
  for (auto at = order.begin() + 1; at < order.begin() + listed; ++at)
    best.alternatives.emplace_back(named(*at), std::exp(row[static_cast<std::size_t>(*at)]));
  return best;
}

}  // namespace scrawl
