#pragma once
/// Fused calls for backends that do not fuse: the same outputs, from one call after another.

#include "bench/kernels/problem.h"

namespace scrawl::bench {

/// The fused call where the backend has it.
template <class Apart, class Call>
Problem or_apart(Problem made, const Name& name, const Call& call, Inputs inputs) {
  inputs.rounding = numbers_of(name).rounding;
  made.place = [fused = made.place, call, inputs](Device& device,
                                                  const Selection& selection) -> std::unique_ptr<Work> {
    if (device.backend().*test::operation<Call>.planner) return fused(device, selection);
    return std::make_unique<Apart>(device, selection, call, inputs);
  };
  return made;
}

/// Convolution, then batch norm for its moments.
class ConvolvedMoments final : public Work {
 public:
  ConvolvedMoments(Device& device, const Selection& selection, const Conv2dMomentsForward& call,
                   const Inputs& inputs)
      : convolution_(std::make_shared<CallWork<Conv2dForward>>(
            device, selection,
            Conv2dForward{.params = call.params, .x = call.x, .w = call.w, .b = call.b, .y = call.y},
            inputs)),
        norm_(device, selection,
              {.x = call.y,
               .gamma = call.mean,
               .beta = call.mean,
               .y = call.y,
               .mean = call.mean,
               .variance = call.variance},
              inputs, {convolution_, {{"x", convolution_->call().y}}}) {}

  void run() override {
    convolution_->run();
    norm_.run();
  }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(std::int64_t most) override {
    auto values = norm_.outputs(most);
    values["y"] = convolution_->outputs(most).at("y");
    return values;
  }

 private:
  std::shared_ptr<CallWork<Conv2dForward>> convolution_;
  CallWork<BatchNormForward> norm_;
};

/// Convolution, pooling, ReLU.
class ConvolvedPooled final : public Work {
 public:
  ConvolvedPooled(Device& device, const Selection& selection, const Conv2dPoolForward& call,
                  const Inputs& inputs)
      : convolution_(std::make_shared<CallWork<Conv2dForward>>(
            device, selection,
            Conv2dForward{
                .params = call.params,
                .x = call.x,
                .w = call.w,
                .b = call.b,
                .y = make_view(nullptr, call.y.type, conv2d_output(call.params, call.x.shape, call.w.shape),
                               Order::channels_last)},
            inputs)),
        pooling_(std::make_shared<CallWork<PoolForward>>(
            device, selection,
            PoolForward{.params = call.pool, .x = call.x, .y = call.y, .argmax = call.argmax}, inputs,
            CallWork<PoolForward>::Written{convolution_, {{"x", convolution_->call().y}}})),
        relu_(device, selection, {.kind = Activation::relu, .x = call.y, .y = call.y}, inputs,
              {pooling_, {{"x", pooling_->call().y}}}) {}

  void run() override {
    convolution_->run();
    pooling_->run();
    relu_.run();
  }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(std::int64_t most) override {
    auto values = relu_.outputs(most);
    values["argmax"] = pooling_->outputs(most).at("argmax");
    return values;
  }

 private:
  std::shared_ptr<CallWork<Conv2dForward>> convolution_;
  std::shared_ptr<CallWork<PoolForward>> pooling_;
  CallWork<ActivationForward> relu_;
};

/// Batch norm by moments that are known, with its ReLU, then pooling.
class NormalisedPooled final : public Work {
 public:
  NormalisedPooled(Device& device, const Selection& selection, const BatchNormPoolApply& call,
                   const Inputs& inputs)
      : norm_(
            std::make_shared<CallWork<BatchNormInference>>(device, selection,
                                                           BatchNormInference{.epsilon = call.epsilon,
                                                                              .activation = Activation::relu,
                                                                              .x = call.x,
                                                                              .gamma = call.gamma,
                                                                              .beta = call.beta,
                                                                              .mean = call.mean,
                                                                              .variance = call.variance,
                                                                              .y = call.x},
                                                           inputs)),
        pooling_(device, selection,
                 PoolForward{.params = call.pool, .x = call.x, .y = call.y, .argmax = call.argmax}, inputs,
                 {norm_, {{"x", norm_->call().y}}}) {}

  void run() override {
    norm_->run();
    pooling_.run();
  }
  const std::string& variant() const override { return norm_->variant(); }
  Values outputs(std::int64_t most) override { return pooling_.outputs(most); }

 private:
  std::shared_ptr<CallWork<BatchNormInference>> norm_;
  CallWork<PoolForward> pooling_;
};

}  // namespace scrawl::bench
