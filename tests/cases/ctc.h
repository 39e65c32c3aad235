#pragma once
/// CTC batches: what other implementations got wrong, and label lengths beside warps, blocks and their pairs.

#include <string>
#include <vector>

#include "kernels/ctc.h"
#include "tests/cases/case.h"

namespace scrawl::test {

struct CtcCase {
  std::string name;
  std::int64_t steps, classes;
  std::vector<std::vector<std::int32_t>> labels;
  std::vector<std::int32_t> input_lengths = {};  ///< empty: all of `steps`
  std::int32_t blank = 0;
  double scale = 1;  ///< of the logits
};

/// A label of the classes 1 .. classes - 1 in turn: no repeats.
inline std::vector<std::int32_t> cycle(std::int64_t length, std::int32_t classes) {
  std::vector<std::int32_t> label;
  for (std::int64_t i = 0; i < length; ++i) label.push_back(1 + static_cast<std::int32_t>(i) % (classes - 1));
  return label;
}

inline std::vector<std::int32_t> repeat(std::int64_t length, std::int32_t label) {
  return std::vector<std::int32_t>(static_cast<std::size_t>(length), label);
}

inline std::vector<CtcCase> ctc_cases() {
  std::vector<CtcCase> cases{
      {"an empty label among others",
       12,
       7,
       {{1, 2, 3}, {4, 4, 4}, {}, {5}, {6, 5, 6, 6, 1}},
       {12, 9, 5, 1, 11}},
      {"no samples", 5, 4, {}},
      {"only empty labels", 4, 5, {{}, {}}, {4, 2}},
      {"too short for its repeats", 4, 5, {{1, 2}, {1, 1, 1}, {4, 3, 2, 1}, {1, 2, 3, 4}}, {4, 4, 3, 4}},
      {"exactly label and repeats", 7, 4, {{1, 1, 1, 1}, {2, 2, 3, 3, 1}, {1, 2, 3, 1, 2, 3, 1}}},
      {"fewer steps than states",
       9,
       6,
       {{1, 2, 3, 4, 5, 1}, {1, 2, 1, 2, 1, 2, 1}, {5, 4, 3, 2, 1}},
       {9, 8, 6}},
      {"one step", 1, 6, {{3}, {}, {5}, {1, 2}}},
      {"no steps", 5, 4, {{}, {1}, {1, 2}}, {0, 0, 5}},
      {"all the same", 20, 3, {repeat(10, 1), repeat(10, 2), repeat(7, 1)}, {20, 19, 13}},
      {"blank is the last class", 9, 6, {{0, 1, 1}, {4, 3}, {}}, {9, 6, 8}, 5},
      {"blank is a middle class", 9, 6, {{0, 1, 1}, {4, 3}, {5, 5}}, {9, 6, 8}, 2},
      {"two classes", 6, 2, {{1}, {1, 1}, {1, 1, 1}}},
      {"logits of a wide range", 16, 8, {{1, 2, 2, 7}, {3}}, {}, 0, 84},  // 336 from end to end
      {"the CRNN's shape",
       64,
       30,
       {cycle(24, 30), {3, 1, 20, 20, 5, 29, 4, 11}, cycle(17, 30), {}},
       {64, 64, 40, 50}},
      {"more classes than a block has threads", 12, 1500, {{1499, 1, 700}, {2, 2}}},
      {"one sample", 5, 4, {{1, 3}}},
      {"many steps", 512, 12, {cycle(100, 12), repeat(200, 3)}},
  };
  std::vector<std::vector<std::int32_t>> batch;
  for (int n = 0; n < 33; ++n) batch.push_back(cycle(n % 6, 9));
  cases.push_back({"33 samples", 11, 9, batch});
  for (const std::int64_t length : {15, 16, 17, 31, 32, 33, 63, 64, 65})
    cases.push_back({"label of " + std::to_string(length),
                     2 * length + 3,
                     5,
                     {cycle(length, 5), repeat(length, 2), cycle(length / 2, 4)}});
  for (const std::int64_t length : {255, 256, 257, 639, 640, 1023, 1024, 1025})
    cases.push_back({"label of " + std::to_string(length), length + 40, 3, {cycle(length, 3)}});
  return cases;
}

}  // namespace scrawl::test
