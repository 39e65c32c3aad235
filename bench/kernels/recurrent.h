#pragma once
/// Problems of sequences: LSTM and CTC.

#include "bench/kernels/problems.h"

namespace scrawl::bench {

/// LSTM layers of both directions.
struct Recurrent {
  const char* name;
  std::int64_t steps, inputs, hidden;
};

Problem lstm_forward(const Recurrent&, std::int64_t n, const Numbers&);
Problem lstm_backward(const Recurrent&, std::int64_t n, const Numbers&);
/// Labels of up to `longest` symbols; every frame counts.
Problem ctc_gradient(std::int64_t steps, std::int64_t n, std::int64_t classes, std::int64_t longest,
                     const Numbers&);

}  // namespace scrawl::bench
