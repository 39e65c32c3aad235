#pragma once
/// A recipe: network, data and training in one TOML file that a user can edit or write. Nothing is hidden:
/// every value that a run uses is in it, and the effective recipe, defaults included, is saved with the run.

#include <string>
#include <variant>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/optimizer.h"
#include "kernels/plan.h"
#include "kernels/pool.h"
#include "models/alphabet.h"
#include "models/data/augment.h"
#include "models/data/dataset.h"
#include "models/data/prepare.h"
#include "runtime/train/schedule.h"

namespace scrawl {

/// The layers that a network may have, in the order of their use. Names default to the type and a number.
struct ConvLayer {
  std::int64_t filters = 0;
  Conv2dParams params;
  std::int64_t kernel_h = 3, kernel_w = 3;
  bool bias = true;
};
struct NormLayer {
  float epsilon, momentum;
};
struct ActivationLayer {
  Activation kind;
};
struct PoolLayer {
  PoolParams params;
};
struct DropoutLayer {
  float rate;
};
struct FlattenLayer {};  ///< image -> row
struct ColumnsLayer {};  ///< image -> sequence of its columns
struct DenseLayer {
  std::int64_t units;
};  ///< 0: as many as there are classes
struct LstmLayer {
  std::int64_t units;
  bool bidirectional;
};

struct Layer {
  std::string name;
  std::string where;  ///< "crnn.toml:12: network.layers[3]", for errors
  std::variant<ConvLayer, NormLayer, ActivationLayer, PoolLayer, DropoutLayer, FlattenLayer, ColumnsLayer,
               DenseLayer, LstmLayer>
      what;
};

/// Storage type of activations and of the weights that kernels see (tf32: f32, whose products may be
/// rounded); master weights and sums are f32.
enum class Precision : std::uint8_t { f32, tf32, bf16, f16 };

struct TrainingSettings {
  int epochs = 10;
  int batch = 64;
  Precision precision = Precision::f32;
  std::uint64_t seed = 1;
  OptimizerStep optimizer;  ///< hyperparameters only
  float clip = 0;
  float loss_scale = 0;  ///< 0: chosen by precision and batch; see loss_scale()
  Schedule schedule;
  double label_smoothing = 0;
  double balance = 0;           ///< 0: samples as they come; 1: classes equally often
  double prior_correction = 0;  ///< tau of the loss corrected for class priors; 0: off
  int patience = 0;             ///< epochs without a better validation before an early stop; 0: never
  int workers = 1;              ///< decode threads
  double checkpoint_minutes = 5;
  double minutes = 0;  ///< end after so many minutes of training, finishing the schedule; 0: by epochs
};

struct Recipe {
  std::string name;
  Preparation input;
  bool valid_widths = false;  ///< carry each image's own width through the network
  Target target = Target::single;
  Normalisation normalisation = Normalisation::nfc;
  std::vector<Layer> layers;
  std::string data_path;
  DataOptions data;
  Augmentation augmentation;
  TrainingSettings training;
  std::string effective;  ///< the recipe as TOML, with every default written out
};

/// A recipe by name (from the folder of recipes) or by path, with a configuration file and `--set`
/// assignments laid over it. Throws UsageError naming file, line and key.
Recipe load_recipe(const std::string& name_or_path, const std::string& config_file,
                   const std::vector<std::string>& assignments);

/// From the effective TOML that a run or a model carries.
Recipe parse_recipe(const std::string& toml, const std::string& source);

/// Names of the recipes that ship with scrawl.
std::vector<std::string> recipe_names();

std::string_view name_of(Precision);
Precision precision_named(std::string_view);  ///< throws UsageError
DType storage_type(Precision);
F32Products f32_products(Precision);

/// What the loss is multiplied by, so that gradients do not vanish in f16. The mean divides them by the
/// batch; times 16 batch (its next power of two), those of the last layer are 16 (p - y): f16 keeps all its
/// bits down to 4e-6 of them, and they can grow 4000 times on their way back. 1 for other types, whose range
/// is f32's.
float loss_scale(const TrainingSettings&);

}  // namespace scrawl
