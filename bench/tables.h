#pragma once
/// A report's rows for other programs and for READMEs.

#include <span>
#include <string>
#include <string_view>

#include "bench/report.h"

namespace scrawl::bench {

/// The peer that stands for a network's own calls, one by one: neither a vendor's nor PyTorch's.
inline constexpr std::string_view own_calls = "sum of its calls";

/// The fastest of the vendor's beside a row; null without any.
const Beside* vendor_of(const Row&);
/// The fastest of PyTorch's; null without any.
const Beside* torch_of(const Row&);

/// `conv2d.forward` of `conv2d.forward[N=64,C=1,bf16]`.
std::string_view operation_of(const Row&);

/// A header and a line a row, quoted as RFC 4180 asks: name, variant, type, cache, times in us, rates,
/// percent of the limit, ratios to the vendor's best and to PyTorch, and "passed", "failed", "wrong: ..." or
/// "refused: ...". What was not measured is empty.
std::string to_csv(std::span<const Row>);

/// The same columns as a table of Markdown.
std::string to_markdown(std::span<const Row>);

}  // namespace scrawl::bench
