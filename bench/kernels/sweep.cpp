#include "bench/kernels/sweep.h"

#include <algorithm>
#include <any>
#include <set>

#include "bench/kernels/named.h"
#include "bench/random_batch.h"
#include "bench/recipes.h"
#include "models/network.h"

namespace scrawl::bench {

namespace {

template <class Call>
std::optional<Name> named_if(const std::any& call, const Numbers& numbers) {
  const auto* const own = std::any_cast<Call>(&call);
  return own ? std::optional(name_of(*own, numbers)) : std::nullopt;
}

template <class... Calls>
std::optional<Name> name_among(const std::any& call, const Numbers& numbers) {
  std::optional<Name> name;
  (void)((name = named_if<Calls>(call, numbers)) || ...);
  return name;
}

constexpr auto name_of_any =
    name_among<Conv2dForward, Conv2dPoolForward, Conv2dMomentsForward, Conv2dBackwardData,
               Conv2dBackwardWeight, BatchNormForward, BatchNormBackward, BatchNormPoolForward,
               BatchNormPoolApply, BatchNormPoolBackward, PoolForward, PoolBackward, Gemm, DenseForward,
               DenseBackwardData, DenseBackwardWeight, SoftmaxForward, SoftmaxBackward, CrossEntropy,
               LstmForward, LstmBackward, CtcLoss, ActivationForward, ActivationBackward, Copy, Add, Dropout,
               ImageToSequence, SequenceToImage, Flatten, Unflatten, ScaleRows, GradientNorm, OptimizerStep>;

Lowered training_step(Device& device, const Recipe& recipe, std::int64_t batch, const Numbers& numbers) {
  const auto network = build_network(recipe, usual_classes(recipe), {batch, 0, longest_random_label},
                                     NetworkUse::training, numbers.storage);
  const auto graph = decompose(network.graph, device.backend(), device.selection());
  return lower(graph, {.loss = graph.outputs().at("loss"),
                       .optimizer = OptimizerSettings{
                           .hyper = recipe.training.optimizer, .clip = recipe.training.clip, .decay = {}}});
}

/// Lines whose last word is added.
std::vector<Listed> of_type(const std::vector<std::string>& types, const std::string& layer,
                            const std::vector<std::string>& lines) {
  std::vector<Listed> all;
  for (const auto& type : types)
    for (const auto& line : lines) {
      Name name(fmt::format("{},{}]", line, type));
      const bool is_update = name.has("parameters");  // in f32, whatever the network is stored in
      if ((type == "tf32" && !multiplies(name)) || (type != "f32" && is_update)) continue;
      all.push_back({std::move(name), layer});
    }
  return all;
}

}  // namespace

std::optional<Name> name_of_call(const std::any& call, const Numbers& numbers) {
  return name_of_any(call, numbers);
}

std::vector<View> operands_of(const Lowered& lowered, const Step& step) {
  std::vector<View> operands;
  for (const auto id : step.tensors) {
    const auto& spec = lowered.tensors[static_cast<std::size_t>(id)].spec;
    operands.push_back(make_view(nullptr, spec.type, spec.shape, spec.order));
  }
  return operands;
}

std::vector<Listed> of_networks(Device& device, const std::vector<std::string>& recipes,
                                const std::vector<std::int64_t>& batches,
                                const std::vector<std::string>& types) {
  std::vector<Listed> all;
  std::set<std::string> known;
  for (const auto& type : types)
    for (const auto batch : batches)
      for (const auto& recipe_name : recipes) {
        const auto numbers = numbers_of(type);
        const auto step = training_step(device, load_recipe(recipe_name, "", {}), batch, numbers);
        for (const auto& call : step.steps) {
          auto name = name_of_call(call.call_on(operands_of(step, call)), numbers);
          if (!name || !known.insert(name->text()).second) continue;
          const auto node = call.node < 0 ? "" : " " + step.nodes[static_cast<std::size_t>(call.node)];
          all.push_back({*std::move(name), recipe_name + node});
        }
      }
  return all;
}

std::vector<Listed> of_rows(const std::vector<std::string>& types) {
  constexpr std::int64_t elements = 64 << 20;
  std::vector<std::string> lines;
  for (const std::int64_t classes : {62, 256, 4096, 32768})
    for (const auto* const operation : {"softmax.forward", "softmax.backward", "cross_entropy.gradient"})
      lines.push_back(fmt::format("{}[rows={},K={}", operation, elements / classes, classes));
  return of_type(types, "wide rows", lines);
}

std::vector<Listed> of_others(const std::vector<std::string>& types) {
  std::vector<Listed> all;
  const auto add = [&](const std::string& layer, const std::vector<std::string>& lines) {
    std::ranges::move(of_type(types, layer, lines), std::back_inserter(all));
  };
  std::vector<std::string> lines;
  for (const int hidden : {64, 128, 256, 512, 1024})
    for (const int steps : {16, 64, 256, 2048})
      for (const auto* const operation : {"lstm.forward", "lstm.backward"})
        lines.push_back(fmt::format("{}[T={},N=64,I={},H={},D=2", operation, steps, hidden, hidden));
  add("LSTM", lines);

  lines.clear();
  for (const auto& [steps, classes, longest] :
       {std::tuple{64, 30, 24}, {256, 100, 100}, {512, 1000, 200}, {1024, 8000, 400}, {2048, 80, 1000}})
    lines.push_back(fmt::format("ctc.gradient[T={},N=64,K={},L={}", steps, classes, longest));
  add("CTC", lines);

  const auto convolutions = [&](const std::string& layer, const std::vector<std::string>& words) {
    lines.clear();
    for (const auto& word : words)
      for (const auto* const operation : {"conv2d.forward", "conv2d.backward_data", "conv2d.backward_weight"})
        lines.push_back(fmt::format("{}[N=64,{}", operation, word));
    add(layer, lines);
  };
  convolutions("VGG-16", {"C=64,H=224,W=224,K=64,R=3,P=1", "C=128,H=112,W=112,K=128,R=3,P=1",
                          "C=256,H=56,W=56,K=256,R=3,P=1", "C=512,H=28,W=28,K=512,R=3,P=1",
                          "C=512,H=14,W=14,K=512,R=3,P=1"});
  convolutions("ResNet-50", {"C=3,H=224,W=224,K=64,R=7,P=3,stride=2", "C=64,H=56,W=56,K=64,R=3,P=1",
                             "C=256,H=56,W=56,K=64,R=1", "C=128,H=56,W=56,K=128,R=3,P=1,stride=2",
                             "C=512,H=28,W=28,K=128,R=1", "C=256,H=14,W=14,K=256,R=3,P=1",
                             "C=1024,H=14,W=14,K=2048,R=1,stride=2", "C=512,H=7,W=7,K=512,R=3,P=1"});

  lines.clear();
  constexpr std::int64_t elements = 16 << 20;
  for (const std::int64_t classes : {2, 10, 30, 128, 1000, 8192, 65536, 262144})
    for (const auto* const operation : {"softmax.forward", "softmax.backward", "cross_entropy.gradient"})
      lines.push_back(fmt::format("{}[rows={},K={}", operation, elements / classes, classes));
  add("rows", lines);
  return all;
}

std::vector<Listed> tiny(const std::vector<std::string>& types) {
  return of_type(types, "tiny",
                 {"conv2d_pool.forward[N=2,C=3,H=6,W=6,K=8,R=3",
                  "conv2d.forward[N=2,C=3,H=6,W=6,K=8,R=3,bias=1,activation=relu",
                  "conv2d.forward[N=2,C=8,H=4,W=6,K=16,R=3,P=1",
                  "conv2d.backward_weight[N=2,C=3,H=6,W=6,K=8,R=3",
                  "conv2d.backward_data[N=2,C=8,H=4,W=6,K=16,R=3,P=1",
                  "conv2d.backward_weight[N=2,C=8,H=4,W=6,K=16,R=3,P=1",
                  "conv2d_moments.forward[N=2,C=8,H=4,W=6,K=16,R=3,P=1",
                  "lstm.forward[T=3,N=2,I=16,H=16,D=2",
                  "lstm.backward[T=3,N=2,I=16,H=16,D=2",
                  "ctc.gradient[T=5,N=2,K=6,L=2",
                  "batch_norm_pool.forward[N=2,C=16,H=4,W=6,R=2,S=2",
                  "batch_norm_pool.apply[N=2,C=16,H=4,W=6,R=2,S=2",
                  "batch_norm_pool.backward[N=2,C=16,H=4,W=6,R=2,S=2",
                  "batch_norm.forward[N=2,C=16,H=4,W=6,activation=relu",
                  "batch_norm.backward[N=2,C=16,H=4,W=6,activation=relu",
                  "pool.forward[N=2,C=16,H=4,W=6,R=2,S=2",
                  "pool.backward[N=2,C=16,H=4,W=6,R=2,S=2",
                  "dense.forward[rows=8,I=16,O=24,activation=relu",
                  "dense.backward_data[rows=8,I=16,O=24",
                  "dense.backward_weight[rows=8,I=16,O=24",
                  "gemm[M=8,N=16,K=24",
                  "log_softmax.forward[rows=10,K=6",
                  "log_softmax.backward[rows=10,K=6",
                  "softmax.forward[rows=3,K=40",
                  "softmax.backward[rows=2,K=300",
                  "cross_entropy.gradient[rows=2,K=7",
                  "activation.forward[elements=300,kind=tanh",
                  "activation.backward[elements=300,kind=tanh",
                  "copy[elements=300",
                  "add[elements=300",
                  "dropout[N=2,elements=300",
                  "to_sequence[N=2,C=8,H=4,W=6",
                  "to_image[N=2,C=8,H=4,W=6",
                  "flatten[N=2,C=8,H=4,W=6",
                  "unflatten[N=2,C=8,H=4,W=6",
                  "scale_rows[rows=4,K=30",
                  "adam[parameters=300",
                  "adamw[parameters=300",
                  "sgd[parameters=300",
                  "gradient_norm[parameters=300"});
}

}  // namespace scrawl::bench
