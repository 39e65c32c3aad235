#pragma once
/// A lowered graph, planned for one device and one set of shapes, and run as often as wanted.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/graph/lower.h"
#include "runtime/graph/memory.h"

namespace scrawl {

/// Parameters, states and whatever else outlives a step, by name, in plain placement. Programs of all
/// shapes share it.
class Storage {
 public:
  explicit Storage(Device& device) : device_(&device) {}

  /// The tensor of that name, made (zeroed) if there is none. A ShapeError if it exists with another shape.
  View tensor(const std::string& name, const TensorSpec&);
  bool contains(const std::string& name) const { return entries_.contains(name); }
  View at(const std::string& name) const;  ///< InternalError if there is none
  std::vector<std::string> names() const;

  /// Moves whole tensors between host and device, in row-major order. f32 tensors only hold f32, and so on.
  void write(const std::string& name, std::span<const std::byte>);
  template <class T>
  void write(const std::string& name, const std::vector<T>& values) {
    write(name, std::as_bytes(std::span(values)));
  }
  std::vector<std::byte> read(const std::string& name) const;

  /// Sets one number of the control block (optimizer.h), which a program that trains makes.
  void set(Control::Slot, float);

 private:
  struct Entry {
    View view;
    Buffer buffer;
  };
  Device* device_;
  std::map<std::string, Entry> entries_;
};

/// One placement of a tensor: memory that steps write and read.
struct Value {
  TensorId tensor = no_tensor;
  View view;
  std::size_t bytes = 0;
  enum class Home : std::uint8_t { storage, input, arena, constant } home = Home::arena;
  int first = -1, last = -1;  ///< steps that touch it
};

struct PlannedStep {
  std::string name;  ///< "conv1 conv2d_forward"
  std::string node;  ///< that it is for, or the one after it if it is a reorder; empty: none (an optimiser)
  Phase phase = Phase::forward;
  PlannedCall call;
  std::vector<int> values;  ///< one an operand
  std::vector<Access> access = {};
  std::string key = {};    ///< key_of() the call; empty for reorders
  bool is_chosen = false;  ///< a choice file names the variant, which may be the list's first
};

/// Everything that was decided, before any memory is there. Also what `scrawl inspect` prints.
struct ProgramPlan {
  Lowered lowered;
  std::vector<PlannedStep> steps;
  std::vector<Value> values;
  std::vector<Lifetime> lifetimes;  ///< values', then the steps' workspaces
  MemoryPlan memory;
  std::map<std::string, int> outputs;  ///< values that hold the named outputs, plain
  std::size_t constant_bytes = 0, input_bytes = 0;
};

/// What a choice file knows a call by: its name, its operator's parameters, whether it is for inference, its
/// operands' types and shapes. "activation_forward[relu](f32 64x32x32x128, f32 64x32x32x128)", and " tf32"
/// behind it for such products.
std::string key_of(const Lowered&, const Step&, F32Products);

/// Plans every call, settles placements, inserts named reorders, and lays out the arena. In inference, calls
/// that depend on parameters only become `prepare` steps, run once after the parameters change. Throws
/// Unsupported with every call that no variant takes, each with what each variant said; UsageError for a
/// choice whose variant does not take its call. Reorders, and calls that choices do not know, get their
/// lists' first.
ProgramPlan plan_program(Lowered, const Backend&, const Selection&, const Choices* = nullptr);

/// The same of a graph, decomposed and lowered. Its loss must be one of its outputs.
ProgramPlan plan_program(const Graph&, LowerOptions, const Backend&, const Selection&,
                         const Choices* = nullptr);

/// The memory that programs of all shapes share; as large as the largest, and grown before the first run.
class Arena {
 public:
  explicit Arena(Device& device) : device_(&device) {}
  /// Makes sure of so many bytes. Programs bound to an arena that grew bind again before their next run.
  std::byte* reserve(std::size_t bytes);
  std::byte* data() const { return buffer_.data(); }
  std::size_t size() const { return buffer_.size(); }

 private:
  Device* device_;
  Buffer buffer_;
};

/// What profilers call a phase (device/ranges.h).
std::string range_of(Phase);

/// Told of each call of a step as the host comes to it and has queued it.
class CallWatch {
 public:
  virtual ~CallWatch() = default;
  virtual void before(const PlannedStep&) = 0;
  virtual void after(const PlannedStep&) = 0;
};

class Program {
 public:
  Program(Device&, Storage&, Arena&, ProgramPlan);
  Program(Device&, Storage&, Arena&, const Graph&,
          const LowerOptions&);  ///< planned with the device's selection and choices

  bool has_input(const std::string& name) const { return inputs_.contains(name); }
  View input(const std::string& name) const;   ///< to be filled before a run; plain
  View output(const std::string& name) const;  ///< valid from a run until the next run of any program; plain

  /// Moves a whole input from the host, a whole output to it, plain. DataError unless sizes agree.
  template <class T>
  void write(const std::string& input, const std::vector<T>& values) {
    upload(input, std::as_bytes(std::span(values)));
  }
  template <class T>
  std::vector<T> read(const std::string& output) const {
    std::vector<T> values(static_cast<std::size_t>(this->output(output).shape.count()));
    download(output, std::as_writable_bytes(std::span(values)));
    return values;
  }

  void prepare();  ///< runs what depends on parameters only; call after they change
  void run();      ///< one step. Phases and nodes are ranges of a profiler (device/ranges.h)
  void run(CallWatch&);

  /// Runs one step, telling the seconds that each call took.
  void run_timed(const std::function<void(const PlannedStep&, double seconds)>&);

  const ProgramPlan& plan() const { return plan_; }

 private:
  struct BoundStep {
    int step;
    std::function<void(Bytes, Stream)> run;
    Bytes workspace;
  };
  void bind();
  void upload(const std::string& input, std::span<const std::byte>);
  void download(const std::string& output, std::span<std::byte>) const;
  void run(const std::vector<BoundStep>&, CallWatch*);
  void bind_if_moved();

  Device* device_;
  Storage* storage_;
  Arena* arena_;
  ProgramPlan plan_;
  Buffer inputs_buffer_, constants_buffer_;
  std::map<std::string, int> inputs_;
  std::vector<View> views_;  ///< values with data
  std::vector<BoundStep> prepare_, step_;
  const std::byte* bound_to_ = nullptr;
};

}  // namespace scrawl
