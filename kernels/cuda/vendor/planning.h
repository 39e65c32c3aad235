#pragma once
/// What the planners of this folder share.

#include "kernels/error.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

/// A variant's planner. What the library lacks or cannot do is a reason to refuse.
template <class Call, Plan<Call> (*kPlan)(Call&, const Selection&)>
Plan<Call> refusing(Call& call, const Selection& selection) {
  try {
    return kPlan(call, selection);
  } catch (const DeviceError& error) {
    throw Refused("{}", error.what());
  }
}

/// Widths are the contract's own: no library leaves out what lies beyond them.
inline void refuse_widths(std::string_view name, const View& widths) {
  if (widths.present()) throw Refused("needs images of one width: it knows no {}", name);
}

inline void refuse_empty(const View& view) {
  if (view.shape.count() == 0) throw Refused("needs elements, got {}", to_string(view));
}

/// Workspaces hold several pieces, each aligned.
inline constexpr std::size_t piece_alignment = 256;
constexpr std::size_t piece(std::size_t bytes) {
  return (bytes + piece_alignment - 1) / piece_alignment * piece_alignment;
}

}  // namespace scrawl::cuda
