#pragma once
/// Softmax of one row of numbers.

#include <span>

namespace scrawl::reference {

/// x becomes x - max - log sum exp(x - max). NaN for a row of -inf only, or with NaN or +inf.
void log_softmax(std::span<double> x);

}  // namespace scrawl::reference
