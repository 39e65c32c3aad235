#include "kernels/ctc.h"

#include "kernels/error.h"

namespace scrawl {

void check_ctc_labels(std::span<const std::int32_t> labels, std::span<const std::int32_t> label_lengths,
                      std::span<const std::int32_t> input_lengths, std::int64_t classes, std::int64_t steps,
                      std::int32_t blank) {
  const auto samples = label_lengths.size();
  if (input_lengths.size() != samples)
    throw DataError("ctc: expected an input length for each of {} samples, got {}", samples,
                    input_lengths.size());
  if (blank < 0 || blank >= classes)
    throw DataError("ctc: blank: expected 0 to {}, got {}", classes - 1, blank);
  if (samples == 0) return;
  const auto room = labels.size() / samples;
  if (labels.size() != room * samples)
    throw DataError("ctc: labels: expected rows of one length for {} samples, got {} labels", samples,
                    labels.size());
  for (std::size_t n = 0; n < samples; ++n) {
    if (label_lengths[n] < 0 || static_cast<std::size_t>(label_lengths[n]) > room)
      throw DataError("ctc: sample {}: label length: expected 0 to {}, got {}", n, room, label_lengths[n]);
    if (input_lengths[n] < 0 || input_lengths[n] > steps)
      throw DataError("ctc: sample {}: input length: expected 0 to {}, got {}", n, steps, input_lengths[n]);
    const auto label = labels.subspan(n * room, static_cast<std::size_t>(label_lengths[n]));
    for (std::size_t i = 0; i < label.size(); ++i)
      if (label[i] < 0 || label[i] >= classes || label[i] == blank)
        throw DataError("ctc: sample {}: label {}: expected 0 to {}, not the blank {}, got {}", n, i,
                        classes - 1, blank, label[i]);
  }
}

std::int64_t ctc_least_steps(std::span<const std::int32_t> label) {
  auto steps = static_cast<std::int64_t>(label.size());
  for (std::size_t i = 1; i < label.size(); ++i) steps += label[i] == label[i - 1];  // a blank between equals
  return steps;
}

}  // namespace scrawl
