#include "bench/kernels/cudnn.h"
#include "kernels/cuda/vendor/search.h"
#include "kernels/plan.h"

namespace scrawl::bench {

namespace {

/// One plan, on operands that others share.
template <class Call>
class PlannedWork final : public Work {
 public:
  PlannedWork(Device& device, std::shared_ptr<CallWork<Call>> operands, Plan<Call> plan, std::string name)
      : device_(device),
        operands_(std::move(operands)),
        plan_(std::move(plan)),
        name_(std::move(name)),
        workspace_(device, plan_.workspace_bytes, Buffer::Contents::undefined) {
    operands_->forget_outputs();
  }

  void run() override {
    plan_.run(operands_->call(), {workspace_.data(), workspace_.size()}, device_.stream());
  }
  const std::string& variant() const override { return name_; }
  Values outputs(std::int64_t most) override { return operands_->outputs(most); }

 private:
  Device& device_;
  std::shared_ptr<CallWork<Call>> operands_;
  Plan<Call> plan_;
  std::string name_;
  Buffer workspace_;
};

/// A call's offers, and its operands, placed once the first of them asks.
template <class Call>
struct Offers {
  Device& device;
  Call call, placed;
  Inputs inputs;
  std::vector<cuda::OfferedPlan<Call>> all;
  std::shared_ptr<CallWork<Call>> operands = {};

  Offers(Device& d, const Selection& selection, const Call& c, const Inputs& i)
      : device(d), call(c), placed(c), inputs(i), all(cuda::all_plans(placed, selection)) {}

  std::unique_ptr<Work> place(std::size_t which) {
    auto plan = all[which].plan();
    if (!operands)
      operands = std::make_shared<CallWork<Call>>(
          device,
          [this](Call& described) {
            described = placed;
            return Plan<Call>{};
          },
          call, inputs);
    return std::make_unique<PlannedWork<Call>>(device, operands, std::move(plan), all[which].name);
  }
};

template <class Call>
std::vector<Contender> contenders_of(Device& device, const Selection& selection, const Call& call,
                                     const Inputs& inputs) {
  const auto offers = std::make_shared<Offers<Call>>(device, selection, call, inputs);
  std::vector<Contender> all;
  for (std::size_t i = 0; i < offers->all.size(); ++i)
    all.push_back({.name = "cudnn " + offers->all[i].name, .place = [=] { return offers->place(i); }});
  return all;
}

class ThenPool final : public Work {
 public:
  ThenPool(std::unique_ptr<Work> convolution, std::shared_ptr<Work> pooling)
      : convolution_(std::move(convolution)), pooling_(std::move(pooling)) {}

  void run() override {
    convolution_->run();
    pooling_->run();
  }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(std::int64_t most) override { return pooling_->outputs(most); }

 private:
  std::unique_ptr<Work> convolution_;
  std::shared_ptr<Work> pooling_;
};

/// Moments of the sums that a plan leaves in their place.
class WithSums final : public Work {
 public:
  WithSums(std::unique_ptr<Work> convolution, float pixels)
      : convolution_(std::move(convolution)), pixels_(pixels) {}

  void run() override { convolution_->run(); }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(std::int64_t most) override {
    auto values = convolution_->outputs(most);
    auto &means = values.at("mean"), &variances = values.at("variance");
    for (std::size_t k = 0; k < means.size(); ++k) {
      means[k] /= pixels_;
      variances[k] = variances[k] / pixels_ - means[k] * means[k];
    }
    return values;
  }

 private:
  std::unique_ptr<Work> convolution_;
  float pixels_;
};

}  // namespace

std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection, const Conv2dForward& call,
                                        const Inputs& inputs) {
  return contenders_of(device, selection, call, inputs);
}
std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection,
                                        const Conv2dBackwardData& call, const Inputs& inputs) {
  return contenders_of(device, selection, call, inputs);
}
std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection,
                                        const Conv2dBackwardWeight& call, const Inputs& inputs) {
  return contenders_of(device, selection, call, inputs);
}

std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection,
                                        const Conv2dPoolForward& call, const Inputs& inputs) {
  const auto y = make_view(nullptr, call.y.type, conv2d_output(call.params, call.x.shape, call.w.shape),
                           Order::channels_last);
  const Conv2dForward fused{.params = call.params,
                            .activation = Activation::relu,
                            .phase = call.phase,
                            .x = call.x,
                            .w = call.w,
                            .b = call.b,
                            .y = y};
  const auto offers = std::make_shared<Offers<Conv2dForward>>(device, selection, fused, inputs);
  const auto pool = [=, &device] {
    const PoolForward pooled{.params = call.pool, .x = y, .y = call.y};
    const CallWork<PoolForward>::Written written{offers->operands, {{"x", offers->operands->call().y}}};
    auto vendor = selection;
    vendor.kernels = KernelSet::vendor;
    try {
      return std::make_shared<CallWork<PoolForward>>(device, vendor, pooled, inputs, written);
    } catch (const Unsupported&) {
      return std::make_shared<CallWork<PoolForward>>(device, selection, pooled, inputs, written);
    }
  };
  const auto pooling = std::make_shared<std::shared_ptr<Work>>();
  std::vector<Contender> all;
  for (std::size_t i = 0; i < offers->all.size(); ++i)
    all.push_back({.name = "cudnn " + offers->all[i].name + ", then pooling", .place = [=] {
                     auto convolution = offers->place(i);
                     if (!*pooling) *pooling = pool();
                     return std::make_unique<ThenPool>(std::move(convolution), *pooling);
                   }});
  return all;
}

std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection,
                                        const Conv2dMomentsForward& call, const Inputs& inputs) {
  std::vector<Contender> summing;
  try {
    summing = contenders_of(device, selection, call, inputs);
  } catch (const Refused&) {  // no engine sums in this type: the others remain
  }
  auto apart = contenders_of(
      device, selection,
      Conv2dForward{.params = call.params, .x = call.x, .w = call.w, .b = call.b, .y = call.y}, inputs);
  const auto pixels = static_cast<float>(call.y.shape.count() / call.y.shape[1]);
  // By turns: a search that is cut short has seen both kinds.
  std::vector<Contender> all;
  for (std::size_t i = 0; i < std::max(summing.size(), apart.size()); ++i) {
    if (i < summing.size()) {
      auto& each = all.emplace_back(std::move(summing[i]));
      each.name += ", with sums";
      each.kind = "with sums";
      each.place = [=, place = each.place] { return std::make_unique<WithSums>(place(), pixels); };
    }
    if (i < apart.size()) {
      auto& each = all.emplace_back(std::move(apart[i]));
      each.name += ", without moments";
      each.kind = "without moments";
    }
  }
  return all;
}

std::vector<Contender> cudnn_contenders(Device& device, const Selection& selection, const CtcLoss& call,
                                        const Inputs& inputs) {
  auto wide = call;
  wide.x = make_view(nullptr, DType::f32, call.x.shape);
  return contenders_of(device, selection, wide, inputs);
}

}  // namespace scrawl::bench
