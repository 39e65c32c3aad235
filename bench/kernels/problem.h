#pragma once
/// Problems made of calls.

#include <utility>

#include "bench/kernels/cudnn.h"
#include "bench/kernels/name.h"
#include "bench/kernels/problems.h"

namespace scrawl::bench {

/// Each operand once, what is updated twice, and nothing of what is opaque.
template <class Call>
double least_bytes(Call call) {
  double bytes = 0;
  test::each_operand(call, [&](const std::string&, View& view, const auto& operand) {
    const auto size = static_cast<double>(view.shape.count()) * static_cast<double>(size_of(view.type));
    bytes += operand.role == test::Role::update ? 2 * size : size;
  });
  return bytes;
}

inline View plain(DType type, const Shape& shape) { return make_view(nullptr, type, shape); }

inline Selection with_products(Selection selection, const Numbers& numbers) {
  selection.f32_products = numbers.products;
  return selection;
}

/// Leaves out what took the call, until nothing takes it. `plan` is given the call's own selection.
template <class Plan>
std::vector<std::string> walk(Selection selection, Plan plan) {
  std::vector<std::string> names;
  try {
    for (;;) {
      selection.without = names;
      auto name = plan(selection);
      names.push_back(std::move(name));
    }
  } catch (const Unsupported&) {
    return names;
  }
}

template <class Call>
Problem problem(const Name& name, const Call& call, Inputs inputs, double flops) {
  const auto numbers = numbers_of(name);
  inputs.rounding = numbers.rounding;
  return {.name = name.text(),
          .cost = {flops, least_bytes(call)},
          .variants =
              [=](Device& device, const Selection& selection) {
                const auto planner = device.backend().*test::operation<Call>.planner;
                if (!planner) return std::vector<std::string>{};
                return walk(with_products(selection, numbers), [&](const Selection& s) {
                  Call attempt = call;
                  return planner(attempt, s).variant;
                });
              },
          .place = [=](Device& device, const Selection& selection) -> std::unique_ptr<Work> {
            return std::make_unique<CallWork<Call>>(device, with_products(selection, numbers), call, inputs);
          }};
}

/// A call that cuDNN has many ways to do.
template <class Call>
Problem searched(const Name& name, const Call& call, Inputs inputs, double flops) {
  const auto numbers = numbers_of(name);
  inputs.rounding = numbers.rounding;
  auto made = problem(name, call, inputs, flops);
  made.contenders = [=](Device& device, const Selection& selection) {
    return cudnn_contenders(device, with_products(selection, numbers), call, inputs);
  };
  return made;
}

/// The operands `names` of the backward are those of a forward, which runs first, by the variant of the same
/// name where it has one.
template <class Forward, class Backward>
Problem problem_after(const Name& name, const Forward& forward, const Backward& backward,
                      std::vector<std::string> names, Inputs inputs, double flops) {
  const auto numbers = numbers_of(name);
  inputs.rounding = numbers.rounding;
  const auto written_by = [=](Forward& done) {
    std::map<std::string, View> views;
    test::each_operand(done, [&](const std::string& operand, View& view, const auto&) {
      if (std::ranges::find(names, operand) != names.end()) views.emplace(operand, view);
    });
    return views;
  };
  const auto forward_by = [](const Selection& selection, const auto& plan) {
    try {
      return plan(selection);
    } catch (const Unsupported&) {
      auto any = selection;
      any.without = {};
      return plan(any);
    }
  };
  return {.name = name.text(),
          .cost = {flops, least_bytes(backward)},
          .variants =
              [=](Device& device, const Selection& selection) {
                return walk(with_products(selection, numbers), [&](const Selection& s) {
                  const auto planned = forward_by(s, [&](const Selection& chosen) {
                    Forward attempt = forward;
                    (device.backend().*test::operation<Forward>.planner)(attempt, chosen);
                    return attempt;
                  });
                  Forward done = planned;
                  const auto views = written_by(done);
                  Backward attempt = backward;
                  test::each_operand(attempt, [&](const std::string& operand, View& view, const auto&) {
                    if (const auto found = views.find(operand); found != views.end()) view = found->second;
                  });
                  return (device.backend().*test::operation<Backward>.planner)(attempt, s).variant;
                });
              },
          .place = [=](Device& device, const Selection& selection) -> std::unique_ptr<Work> {
            const auto s = with_products(selection, numbers);
            const std::shared_ptr<CallWork<Forward>> before = forward_by(s, [&](const Selection& chosen) {
              return std::make_shared<CallWork<Forward>>(device, chosen, forward, inputs);
            });
            before->run();
            Forward done = before->call();
            return std::make_unique<CallWork<Backward>>(
                device, s, backward, inputs, typename CallWork<Backward>::Written{before, written_by(done)});
          }};
}

}  // namespace scrawl::bench
