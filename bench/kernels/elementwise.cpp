/// What touches each element once: copies, activations, dropout, changes of layout, optimisers.

#include "bench/kernels/named.h"
#include "bench/kernels/problem.h"
#include "kernels/error.h"
#include "kernels/optimizer.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

View storage_of(const Name& name, const Shape& shape) { return plain(numbers_of(name).storage, shape); }
View elements_of(const Name& name) { return storage_of(name, {name.at("elements")}); }

Name elements_name(const char* operation, const View& x) {
  Name name(operation, std::string(name_of(x.type)));
  name.set("elements", x.shape.count());
  return name;
}

/// To the name's type, `from` another: pixels (u8), or one of the others.
Problem copy(const Name& name) {
  const auto y = elements_of(name);
  auto x = y;
  const auto from = name.get("from", name.type());
  if (from == "u8")
    x.type = DType::u8;
  else
    x.type = numbers_of(from).storage;
  const Fill pixel = [](int64_t i) { return static_cast<float>(7 * i % 256); };
  return problem(name, Copy{.x = x, .y = y}, from == "u8" ? Inputs{.fill = {{"x", pixel}}} : Inputs{}, 0);
}

Problem add(const Name& name) {
  const auto x = elements_of(name);
  return problem(name, Add{.a = x, .b = x, .y = x}, {}, 0);
}

Activation kind_of(const Name& name) {
  const auto text = name.get("kind", "relu");
  for (const auto one : {Activation::relu, Activation::sigmoid, Activation::tanh})
    if (name_of(one) == text) return one;
  throw UsageError("{}: kind: expected relu, sigmoid or tanh, got {}", name.text(), text);
}

Problem activation(const Name& name) {
  const auto x = elements_of(name);
  return problem(name, ActivationForward{.kind = kind_of(name), .x = x, .y = x}, {}, 0);
}

Problem activation_backward(const Name& name) {
  const auto x = elements_of(name);
  return problem(name, ActivationBackward{.kind = kind_of(name), .y = x, .dy = x, .dx = x}, {}, 0);
}

Problem dropout(const Name& name) {
  const auto x = storage_of(name, {name.at("N"), name.at("elements")});
  return problem(
      name, Dropout{.rate = 0.3f, .seed = 1, .node = 1, .x = x, .counters = plain(DType::i64, {2}), .y = x},
      {.fill = {{"counters", [](int64_t) { return 1.0f; }}}}, 0);
}

// ------------------------------------------------------------------------------------------------ layouts

struct Image {
  View image, sequence, rows;

  explicit Image(const Name& name) {
    const auto n = name.at("N"), c = name.at("C"), h = name.at("H"), w = name.at("W");
    const auto type = numbers_of(name).storage;
    image = make_view(nullptr, type, {n, c, h, w}, Order::channels_last);
    sequence = plain(type, {w, n, c * h});
    rows = plain(type, {n, c * h * w});
  }
};

Problem to_sequence(const Name& name) {
  const Image i(name);
  return problem(name, ImageToSequence{.x = i.image, .y = i.sequence}, {}, 0);
}
Problem to_image(const Name& name) {
  const Image i(name);
  return problem(name, SequenceToImage{.x = i.sequence, .y = i.image}, {}, 0);
}
Problem flatten(const Name& name) {
  const Image i(name);
  return problem(name, Flatten{.x = i.image, .y = i.rows}, {}, 0);
}
Problem unflatten(const Name& name) {
  const Image i(name);
  return problem(name, Unflatten{.x = i.rows, .y = i.image}, {}, 0);
}

Name image_name(const char* operation, const View& image) {
  Name name(operation, std::string(name_of(image.type)));
  name.set("N", image.shape[0]).set("C", image.shape[1]).set("H", image.shape[2]).set("W", image.shape[3]);
  return name;
}

Problem scale_rows(const Name& name) {
  const auto rows = name.at("rows"), columns = name.at("K");
  return problem(name,
                 ScaleRows{.x = plain(DType::f32, {rows, columns}),
                           .scale = plain(DType::f32, {rows}),
                           .y = storage_of(name, {rows, columns})},
                 {}, 0);
}

// --------------------------------------------------------------------------------------------- optimisers

float control_value(int64_t slot) {
  return slot == Control::learning_rate
             ? 1e-3f
             : static_cast<float>(slot == Control::gradient_scale || slot == Control::loss_scale);
}

/// 28 bytes a parameter for Adam: reads the gradient, reads and writes weight and both moments.
Problem optimizer(const Name& name) {
  const std::vector<View> one{plain(DType::f32, {name.at("parameters")})};
  const auto& operation = name.operation();
  OptimizerStep step{.kind = operation == "sgd"     ? OptimizerKind::sgd
                             : operation == "adamw" ? OptimizerKind::adamw
                                                    : OptimizerKind::adam,
                     .decay = {1},
                     .w = one,
                     .g = one,
                     .m = one,
                     .v = one,
                     .control = plain(DType::f32, {Control::count})};
  if (step.kind == OptimizerKind::sgd) step.v.clear();
  return problem(name, step,
                 {.fill = {{"control", control_value},
                           {"v.0", [](int64_t i) { return 0.5f + static_cast<float>(i % 97) / 97; }}}},
                 0);
}

Problem gradient_norm(const Name& name) {
  return problem(name,
                 GradientNorm{.clip = 5,
                              .g = {plain(DType::f32, {name.at("parameters")})},
                              .control = plain(DType::f32, {Control::count})},
                 {.fill = {{"control", control_value}}}, 0);
}

int64_t parameters_of(const std::vector<View>& tensors) {
  int64_t count = 0;
  for (const auto& tensor : tensors) count += tensor.shape.count();
  return count;
}

}  // namespace

const std::map<std::string, Maker>& elementwise_makers() {
  static const std::map<std::string, Maker> all{{"copy", copy},
                                                {"add", add},
                                                {"activation.forward", activation},
                                                {"activation.backward", activation_backward},
                                                {"dropout", dropout},
                                                {"to_sequence", to_sequence},
                                                {"to_image", to_image},
                                                {"flatten", flatten},
                                                {"unflatten", unflatten},
                                                {"scale_rows", scale_rows},
                                                {"sgd", optimizer},
                                                {"adam", optimizer},
                                                {"adamw", optimizer},
                                                {"gradient_norm", gradient_norm}};
  return all;
}

Name name_of(const ActivationForward& c, const Numbers&) {
  return elements_name("activation.forward", c.x).set("kind", name_of(c.kind));
}
Name name_of(const ActivationBackward& c, const Numbers&) {
  return elements_name("activation.backward", c.y).set("kind", name_of(c.kind));
}
Name name_of(const Copy& c, const Numbers&) {
  auto name = elements_name("copy", c.y);
  if (c.y.type != c.x.type) name.set("from", name_of(c.x.type));
  return name;
}
Name name_of(const Add& c, const Numbers&) { return elements_name("add", c.a); }
Name name_of(const Dropout& c, const Numbers&) {
  const auto samples = c.x.shape[c.sample_axis];
  Name name("dropout", std::string(name_of(c.x.type)));
  name.set("N", samples).set("elements", samples > 0 ? c.x.shape.count() / samples : 0);
  return name;
}
Name name_of(const ImageToSequence& c, const Numbers&) { return image_name("to_sequence", c.x); }
Name name_of(const SequenceToImage& c, const Numbers&) { return image_name("to_image", c.y); }
Name name_of(const Flatten& c, const Numbers&) { return image_name("flatten", c.x); }
Name name_of(const Unflatten& c, const Numbers&) { return image_name("unflatten", c.y); }
Name name_of(const ScaleRows& c, const Numbers&) {
  Name name("scale_rows", std::string(name_of(c.y.type)));
  const auto columns = c.x.shape[c.x.shape.rank - 1];
  name.set("rows", columns > 0 ? c.x.shape.count() / columns : 0).set("K", columns);
  return name;
}
Name name_of(const GradientNorm& c, const Numbers&) {
  return Name("gradient_norm", "f32").set("parameters", parameters_of(c.g));
}
Name name_of(const OptimizerStep& c, const Numbers&) {
  const auto* const kind = c.kind == OptimizerKind::sgd    ? "sgd"
                           : c.kind == OptimizerKind::adam ? "adam"
                                                           : "adamw";
  return Name(kind, "f32").set("parameters", parameters_of(c.w));
}

}  // namespace scrawl::bench
