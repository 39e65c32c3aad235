#pragma once
/// Calls on bf16 or f16 operands, computed in f32.

#include <vector>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/dense.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

template <class Call>
using Operands = std::vector<View Call::*>;

/// Plans a call as `plan` does in f32: narrow operands are widened into the workspace before it runs, narrow
/// results narrowed after. Placements are those that `plan` asks for.
template <class Call>
Plan<Call> plan_widened(Call& call, const Selection& selection, Plan<Call> (*plan)(Call&, const Selection&),
                        const Operands<Call>& inputs, const Operands<Call>& outputs) {
  const auto is_narrow = [&](View Call::*operand) {
    const DType type = (call.*operand).type;
    return (call.*operand).present() && (type == DType::bf16 || type == DType::f16);
  };
  Operands<Call> widened, narrowed;
  std::ranges::copy_if(inputs, std::back_inserter(widened), is_narrow);
  std::ranges::copy_if(outputs, std::back_inserter(narrowed), is_narrow);
  Call wide = call;
  for (const auto* operands : {&widened, &narrowed})
    for (const auto operand : *operands) (wide.*operand).type = DType::f32;
  Plan<Call> inner = plan(wide, selection);

  Workspace workspace;
  for (const auto* operands : {&widened, &narrowed})
    for (const auto operand : *operands) {
      place_as(call.*operand, wide.*operand);
      workspace.take<float>(elements_of(wide.*operand));
    }
  for (const auto* operands : {&inputs, &outputs})
    for (const auto operand : *operands) place_as(call.*operand, wide.*operand);

  return {.workspace_bytes = workspace.bytes() + inner.workspace_bytes,
          .run = [=, run = inner.run, own_bytes = workspace.bytes(), threads = selection.threads](
                     const Call& c, Bytes bytes, Stream stream) {
            Call in_f32 = c;
            Workspace memory(bytes);
            for (const auto* operands : {&widened, &narrowed})
              for (const auto operand : *operands) {
                View& view = in_f32.*operand;
                view.type = DType::f32;
                view.data = memory.take<float>(elements_of(view));
              }
            for (const auto operand : widened) convert(c.*operand, in_f32.*operand, threads);
            run(in_f32, bytes.subspan(own_bytes), stream);
            for (const auto operand : narrowed) convert(in_f32.*operand, c.*operand, threads);
          }};
}

}  // namespace scrawl::cpu
