#include "models/recipe.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>

#include "models/config.h"

namespace scrawl {
namespace fs = std::filesystem;
namespace {

/// share/scrawl/recipes in the nearest folder above the program that has it: where scrawl is installed, or
/// was built. SCRAWL_RECIPES names another folder.
fs::path recipe_folder() {
  if (const char* const set = std::getenv("SCRAWL_RECIPES")) return set;
  const fs::path recipes = "share/scrawl/recipes";
  std::error_code nowhere;
  for (auto above = fs::read_symlink("/proc/self/exe", nowhere); above.has_relative_path();) {
    above = above.parent_path();
    if (fs::is_directory(above / recipes, nowhere)) return above / recipes;
  }
  return recipes;
}

ConvLayer read_conv(Config& c) {
  ConvLayer conv;
  conv.filters = c.count("filters");
  std::tie(conv.kernel_h, conv.kernel_w) = c.pair("kernel", {3, 3}, 1);
  auto& p = conv.params;
  std::tie(p.stride_h, p.stride_w) = c.pair("stride", {1, 1}, 1);
  std::tie(p.dilation_h, p.dilation_w) = c.pair("dilation", {1, 1}, 1);
  p.groups = c.integer("groups", 1, 1);
  enum class Padding { same, valid };
  if (c.choice("padding", Padding::valid, {{"same", Padding::same}, {"valid", Padding::valid}}) ==
      Padding::same) {
    const auto h = p.dilation_h * (conv.kernel_h - 1), w = p.dilation_w * (conv.kernel_w - 1);
    p.pad_top = h / 2, p.pad_bottom = h - h / 2, p.pad_left = w / 2, p.pad_right = w - w / 2;
  }
  conv.bias = c.flag("bias", true);
  return conv;
}

PoolLayer read_pool(Config& c, PoolKind kind) {
  PoolParams p{.kind = kind};
  std::tie(p.window_h, p.window_w) = c.pair("window", {2, 2}, 1);
  std::tie(p.stride_h, p.stride_w) = c.pair("stride", {p.window_h, p.window_w}, 1);
  std::tie(p.pad_h, p.pad_w) = c.pair("padding", {0, 0}, 0);
  return {p};
}

using Reader = decltype(Layer::what) (*)(Config&);

const std::vector<std::pair<std::string, Reader>> layer_types{
    {"conv", [](Config& c) -> decltype(Layer::what) { return read_conv(c); }},
    {"batch_norm",
     [](Config& c) -> decltype(Layer::what) {
       return NormLayer{static_cast<float>(c.number("epsilon", 1e-5, 1e-12, 1)),
                        static_cast<float>(c.number("momentum", 0.1, 0, 1))};
     }},
    {"relu", [](Config&) -> decltype(Layer::what) { return ActivationLayer{Activation::relu}; }},
    {"sigmoid", [](Config&) -> decltype(Layer::what) { return ActivationLayer{Activation::sigmoid}; }},
    {"tanh", [](Config&) -> decltype(Layer::what) { return ActivationLayer{Activation::tanh}; }},
    {"max_pool", [](Config& c) -> decltype(Layer::what) { return read_pool(c, PoolKind::max); }},
    {"average_pool", [](Config& c) -> decltype(Layer::what) { return read_pool(c, PoolKind::average); }},
    {"dropout",
     [](Config& c) -> decltype(Layer::what) {
       return DropoutLayer{static_cast<float>(c.number("rate", 0.5, 0, 0.99))};
     }},
    {"flatten", [](Config&) -> decltype(Layer::what) { return FlattenLayer{}; }},
    {"columns", [](Config&) -> decltype(Layer::what) { return ColumnsLayer{}; }},
    {"dense", [](Config& c) -> decltype(Layer::what) { return DenseLayer{c.count("units")}; }},
    {"lstm",
     [](Config& c) -> decltype(Layer::what) {
       return LstmLayer{c.count("units"), c.flag("bidirectional", true)};
     }},
    {"classes", [](Config&) -> decltype(Layer::what) { return DenseLayer{0}; }},
};

std::vector<Layer> read_layers(Config network) {
  std::vector<Layer> layers;
  std::map<std::string, int> numbers;
  for (auto c : network.tables("layers")) {
    const auto reader = c.choice<Reader>("type", nullptr, layer_types);
    const auto type = c.text("type", "");
    const auto name =
        c.text("name", type == "classes" ? "output" : fmt::format("{}{}", type, ++numbers[type]));
    if (name.empty() || name.find_first_of("./ ") != std::string::npos)
      c.fail("name", "expected a name without dots, slashes and spaces");
    if (std::ranges::any_of(layers, [&](const Layer& l) { return l.name == name; }))
      c.fail("name", fmt::format("{} is taken by an earlier layer", name));
    layers.push_back({name, c.place(), reader(c)});
    c.done();
  }
  if (layers.empty()) network.fail("layers", "a network needs at least one layer");
  network.done();
  return layers;
}

void read_input(Config c, Recipe& r) {
  auto& p = r.input;
  p.height = static_cast<int>(c.integer("height", 28, 1, 16384));
  p.width = static_cast<int>(c.integer("width", 28, 1, 16384));
  p.channels = static_cast<int>(c.integer("channels", 1, 1, 3));
  if (p.channels == 2) c.fail("channels", "expected 1 (gray) or 3 (colour)");
  p.fit = c.choice("fit", Fit::centre, fit_names);
  p.polarity = c.choice("ink", Polarity::automatic, polarity_names);
  p.crop = c.choice("crop", Crop::none, crop_names);
  p.contrast = c.choice("contrast", Contrast::keep, contrast_names);
  r.valid_widths = c.flag("valid_widths", false);
  if (r.valid_widths && p.fit != Fit::left) c.fail("valid_widths", "needs fit = \"left\"");
  c.done();
}

void read_data(Config c, Recipe& r) {
  r.data_path = c.text("path", "");
  auto& d = r.data;
  d.image_column = c.text("image_column", "");
  d.label_column = c.text("label_column", "");
  d.split_column = c.text("split_column", "");
  d.writer_column = c.text("writer_column", "");
  d.image_folder = c.text("image_folder", "");
  d.classes = c.text("classes", "");
  using O = DataOptions::Orientation;
  d.orientation = c.choice("orientation", O::by_name,
                           {{"by_name", O::by_name}, {"rows", O::rows}, {"columns", O::columns}});
  d.validation_fraction = c.number("validation_fraction", 0.1, 0, 0.9);
  d.test_fraction = c.number("test_fraction", 0.1, 0, 0.9);
  r.target = c.choice("labels", Target::single, {{"text", Target::sequence}, {"class", Target::single}});
  r.normalisation =
      c.choice("normalisation", Normalisation::nfc,
               {{"none", Normalisation::none}, {"nfc", Normalisation::nfc}, {"nfkc", Normalisation::nfkc}});
  auto a = c.table("augment");
  for (const AugmentationExtent& extent : augmentation_extents)
    r.augmentation.*extent.value = a.number(extent.name, 0, 0, extent.limit);
  a.done();
  c.done();
}

Schedule read_schedule(Config c) {
  using Kind = Schedule::Kind;
  Schedule s;
  s.kind = c.choice("kind", Kind::constant,
                    {{"constant", Kind::constant},
                     {"step", Kind::step},
                     {"cosine", Kind::cosine},
                     {"one_cycle", Kind::one_cycle}});
  s.peak = c.number("learning_rate", 1e-3, 0, 1e3);
  s.last = c.number("last_rate", 0, 0, 1e3);
  s.warmup = c.number("warmup", 0, 0, 0.99);
  s.factor = c.number("factor", 0.1, 0, 1);
  s.every = c.number("every", 0.34, 1e-6, 1);
  c.done();
  return s;
}

OptimizerStep read_optimizer(Config c) {
  OptimizerStep o;
  o.kind =
      c.choice("kind", OptimizerKind::adam,
               {{"sgd", OptimizerKind::sgd}, {"adam", OptimizerKind::adam}, {"adamw", OptimizerKind::adamw}});
  o.momentum = static_cast<float>(c.number("momentum", 0.9, 0, 1));
  o.nesterov = c.flag("nesterov", false) ? OptimizerStep::Nesterov::yes : OptimizerStep::Nesterov::no;
  o.beta1 = static_cast<float>(c.number("beta1", 0.9, 0, 0.999999));
  o.beta2 = static_cast<float>(c.number("beta2", 0.999, 0, 0.999999));
  o.epsilon = static_cast<float>(c.number("epsilon", 1e-8, 0, 1));
  o.l1 = static_cast<float>(c.number("l1", 0, 0, 1));
  o.l2 = static_cast<float>(c.number("l2", 0, 0, 1));
  o.weight_decay = static_cast<float>(c.number("weight_decay", 0, 0, 1));
  if (o.weight_decay > 0 && o.kind != OptimizerKind::adamw)
    c.fail("weight_decay", "is adamw's; others take l2");
  c.done();
  return o;
}

void read_training(Config c, TrainingSettings& t) {
  t.epochs = static_cast<int>(c.integer("epochs", 10, 1, 1000000));
  t.minutes = c.number("minutes", 0, 0);
  t.batch = static_cast<int>(c.integer("batch", 64, 1, 65536));
  t.precision = c.choice("precision", Precision::f32,
                         {{"f32", Precision::f32},
                          {"tf32", Precision::tf32},
                          {"bf16", Precision::bf16},
                          {"f16", Precision::f16}});
  t.seed = static_cast<std::uint64_t>(c.integer("seed", 1, 0));
  t.clip = static_cast<float>(c.number("clip", 0, 0));
  t.loss_scale = static_cast<float>(c.number("loss_scale", 0, 0, 1 << 24));
  t.label_smoothing = c.number("label_smoothing", 0, 0, 0.99);
  t.balance = c.number("balance", 0, 0, 1);
  t.prior_correction = c.number("prior_correction", 0, 0, 2);
  t.patience = static_cast<int>(c.integer("patience", 0, 0));
  t.workers = static_cast<int>(c.integer("workers", 1, 1, 256));
  t.checkpoint_minutes = c.number("checkpoint_minutes", 5, 0.01);
  t.optimizer = read_optimizer(c.table("optimizer"));
  t.schedule = read_schedule(c.table("schedule"));
  c.done();
}

Recipe read_recipe(toml::table table, const std::string& fallback_name) {
  Recipe r;
  Config c(table, "");
  r.name = c.text("name", fallback_name);
  c.text("description", "");
  read_input(c.table("input"), r);
  read_data(c.table("data"), r);
  r.layers = read_layers(c.table("network"));
  read_training(c.table("training"), r.training);
  c.done();
  r.effective = to_text(table);
  return r;
}

}  // namespace

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(recipe_folder(), absent))
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

Recipe load_recipe(const std::string& name_or_path, const std::string& config_file,
                   const std::vector<std::string>& assignments) {
  fs::path path = name_or_path;
  if (path.extension() != ".toml") path = recipe_folder() / (name_or_path + ".toml");
  if (std::error_code nowhere; !fs::exists(path, nowhere)) {
    const auto names = recipe_names();
    if (names.empty())
      throw UsageError(
          "recipe {}: not found, nor any other: give a .toml file, or set SCRAWL_RECIPES to their folder",
          name_or_path);
    const auto near = nearest_name(name_or_path, names);
    throw UsageError("recipe {}: not found; {}", name_or_path,
                     near.empty() ? fmt::format("there are {}, or give a .toml file", fmt::join(names, ", "))
                                  : fmt::format("did you mean {}?", near));
  }
  auto table = read_toml(path.string());
  if (!config_file.empty()) merge(table, read_toml(config_file));
  for (const auto& assignment : assignments) assign(table, assignment);
  return read_recipe(std::move(table), path.stem().string());
}

Recipe parse_recipe(const std::string& text, const std::string& source) {
  try {
    return read_recipe(toml::parse(text, source), "");
  } catch (const toml::parse_error& error) {
    throw DataError("{}: recipe: {}", source, error.description());
  }
}

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::f32:
      return "f32";
    case Precision::tf32:
      return "tf32";
    case Precision::bf16:
      return "bf16";
    case Precision::f16:
      return "f16";
  }
  return "?";
}

Precision precision_named(std::string_view name) {
  for (const auto p : {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16})
    if (name_of(p) == name) return p;
  throw UsageError("precision: expected f32, tf32, bf16 or f16, got {}", name);
}

DType storage_type(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return DType::bf16;
    case Precision::f16:
      return DType::f16;
    default:
      return DType::f32;
  }
}

F32Products f32_products(Precision precision) {
  return precision == Precision::tf32 ? F32Products::tf32 : F32Products::exact;
}

float loss_scale(const TrainingSettings& t) {
  if (t.loss_scale > 0) return t.loss_scale;
  return t.precision == Precision::f16
             ? 16.0f * static_cast<float>(std::bit_ceil(static_cast<unsigned>(t.batch)))
             : 1.0f;
}

}  // namespace scrawl
