#pragma once
/// How work is asked of a backend: a Call names the operation, its parameters and its operands; a planner
/// turns it, once per set of shapes, into a Plan that runs as often as wanted.
///
/// A Call is given to its planner with Views that carry no data. The planner checks shapes and types,
/// takes the first variant that does not refuse, and may change the placement (layout, strides) of any
/// operand: the caller then provides the operand so placed. `run` gets the same Call with data.

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"
#include "kernels/view.h"

namespace scrawl {

enum class Origin : std::uint8_t { native, vendor };  ///< our own kernel, or a library's

/// --kernels. `vendor` leaves our own variants out wherever a list has a library's, which then has to take
/// the call; what no library has at all (a copy, an optimiser's step) stays ours.
enum class KernelSet : std::uint8_t { automatic, native, vendor };

constexpr std::string_view name_of(KernelSet kernels) {
  switch (kernels) {
    case KernelSet::automatic:
      return "auto";
    case KernelSet::native:
      return "native";
    case KernelSet::vendor:
      return "vendor";
  }
  return "?";
}

/// How products of f32 operands are made on tensor cores: not there, or with operands rounded to tf32 first.
enum class F32Products : std::uint8_t { exact, tf32 };

/// What restricts the choice of a variant.
struct Selection {
  KernelSet kernels = KernelSet::automatic;
  int threads = 1;  ///< CPU threads that a plan may use; fixed for its life, results depend on it
  F32Products f32_products = F32Products::exact;
  int multiprocessors = 108;  ///< of the GPU: long sums are split to occupy them; 0: into parts of one size
  std::span<const std::string> without = {};  ///< variants of the call itself that are left out, by name
};

/// Why a faster variant does not take a call: "needs C % 8 == 0, got 3".
struct Refusal {
  std::string variant;
  std::string reason;
};

template <class Call>
struct Plan {
  std::string variant;
  std::size_t workspace_bytes = 0;  ///< scratch that `run` needs, 64-byte aligned; nothing is kept in it
  std::function<void(const Call&, Bytes workspace, Stream)> run;
  std::vector<Refusal> refused = {};
};

template <class Call>
using Planner = Plan<Call> (*)(Call&, const Selection&);

/// No variant takes a call. Thrown when a graph is planned, never later.
struct Unsupported : ShapeError {
  using ShapeError::ShapeError;
};

/// One way to do a call. `plan` returns the plan, or throws Refused to pass the call on.
template <class Call>
struct Variant {
  std::string_view name;
  Origin origin;
  Plan<Call> (*plan)(Call&, const Selection&);
};

/// Thrown by a variant that does not take a call; caught by first_variant.
class Refused : public std::runtime_error {
 public:
  template <class... Args>
  explicit Refused(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// The first variant that takes the call. A refusing variant leaves the call as it was.
template <class Call>
Plan<Call> first_variant(std::string_view operation, std::span<const Variant<Call>> variants, Call& call,
                         const Selection& selection) {
  std::vector<Refusal> refused;
  Selection within = selection;  // of calls that a variant is made of
  within.without = {};
  const bool has_vendor =
      std::ranges::find(variants, Origin::vendor, &Variant<Call>::origin) != variants.end();
  for (const auto& variant : variants) {
    const bool excluded =
        (selection.kernels == KernelSet::native && variant.origin == Origin::vendor) ||
        (selection.kernels == KernelSet::vendor && variant.origin == Origin::native && has_vendor);
    if (excluded) {
      refused.push_back(Refusal{std::string(variant.name), "left out by --kernels"});
      continue;
    }
    if (std::ranges::find(selection.without, variant.name) != selection.without.end()) {
      refused.push_back(Refusal{std::string(variant.name), "left out by name"});
      continue;
    }
    Call attempt = call;
    try {
      Plan<Call> plan = variant.plan(attempt, within);
      plan.variant = variant.name;
      plan.refused = std::move(refused);
      call = attempt;
      return plan;
    } catch (const Refused& reason) {
      refused.push_back(Refusal{std::string(variant.name), reason.what()});
    }
  }
  std::string reasons;
  for (const auto& [name, reason] : refused) reasons += fmt::format("\n  {}: {}", name, reason);
  throw Unsupported("{}: no variant takes this call:{}", operation, reasons);
}

}  // namespace scrawl
