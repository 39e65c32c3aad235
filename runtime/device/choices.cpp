#include "runtime/device/choices.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/error.h"
#include "runtime/io/cpuinfo.h"
#include "runtime/io/file.h"

namespace scrawl {

namespace {

using json = nlohmann::ordered_json;

constexpr int version = 1;

std::string hash_of(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const unsigned char c : bytes) hash = (hash ^ c) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

/// One object of a choice file, whose keys are asked for one by one; whoever asks names them all.
class Object {
 public:
  Object(const json& value, std::string where) : value_(value), where_(std::move(where)) {
    if (!value.is_object()) throw UsageError("{}: expected an object, got {}", where_, value.dump());
  }

  template <class T>
  T at(const char* key) {
    known_.insert(key);
    const auto found = value_.find(key);
    if (found == value_.end()) throw UsageError("{}: expected {}, got nothing", where_, key);
    const bool fits = std::is_same_v<T, std::string> ? found->is_string()
                      : std::is_same_v<T, int>       ? found->is_number_integer()
                      : std::is_same_v<T, double>    ? found->is_number()
                                                     : found->is_array();
    if (!fits)
      throw UsageError("{}: {}: expected {}, got {}", where_, key,
                       std::is_same_v<T, std::string> ? "a text"
                       : std::is_same_v<T, int>       ? "a whole number"
                       : std::is_same_v<T, double>    ? "a number"
                                                      : "a list",
                       found->dump());
    return found->get<T>();
  }

  void expect_no_others() const {
    for (const auto& [key, value] : value_.items())
      if (!known_.contains(key))
        throw UsageError("{}: expected {}, got {}", where_, fmt::join(known_, ", "), key);
  }

 private:
  const json& value_;
  std::string where_;
  std::set<std::string> known_;
};

Choice choice_of(const json& value, const std::string& where) {
  Object object(value, where);
  Choice choice{
      .call = object.at<std::string>("call"), .variant = object.at<std::string>("variant"), .measured = {}};
  for (const auto& one : object.at<json>("measured")) {
    Object time(one, where + ": measured");
    choice.measured.push_back({.variant = time.at<std::string>("variant"),
                               .us = time.at<double>("us"),
                               .p10 = time.at<double>("p10"),
                               .p90 = time.at<double>("p90")});
    time.expect_no_others();
  }
  object.expect_no_others();
  return choice;
}

}  // namespace

Choices::Choices(ChoicesHeader header, std::vector<Choice> calls)
    : header_(std::move(header)), calls_(std::move(calls)), hash_(hash_of(text())) {}

Choices Choices::parse(std::string_view text, const std::string& source) {
  json whole;
  try {
    whole = json::parse(text);
  } catch (const json::exception& error) {
    throw UsageError("{}: expected a choice file of scrawl tune, got {}", source, error.what());
  }
  Object file(whole, source);
  // First of all: the words of another version are not these.
  if (const auto got = file.at<int>("choices"); got != version)
    throw UsageError("{}: choices: expected version {}, got {}; measure again with scrawl tune", source,
                     version, got);
  ChoicesHeader header{.device = file.at<std::string>("device"),
                       .processor = file.at<std::string>("processor"),
                       .libraries = file.at<std::string>("libraries"),
                       .threads = file.at<int>("threads"),
                       .commit = file.at<std::string>("commit"),
                       .date = file.at<std::string>("date"),
                       .recipe = file.at<std::string>("recipe"),
                       .batch = file.at<int>("batch"),
                       .type = file.at<std::string>("type")};
  std::vector<Choice> calls;
  std::set<std::string> known;
  for (const auto& value : file.at<json>("calls")) {
    calls.push_back(choice_of(value, fmt::format("{}: call {}", source, calls.size() + 1)));
    if (!known.insert(calls.back().call).second)
      throw UsageError("{}: expected each call once, got {} twice", source, calls.back().call);
  }
  file.expect_no_others();
  Choices choices(std::move(header), std::move(calls));
  choices.source_ = source;
  choices.hash_ = hash_of(text);
  return choices;
}

Choices Choices::read(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
               std::filesystem::absolute(path).lexically_normal().string());
}

std::string Choices::text() const {
  auto calls = json::array();
  for (const auto& choice : calls_) {
    auto measured = json::array();
    for (const auto& time : choice.measured)
      measured.push_back({{"variant", time.variant}, {"us", time.us}, {"p10", time.p10}, {"p90", time.p90}});
    calls.push_back({{"call", choice.call}, {"variant", choice.variant}, {"measured", measured}});
  }
  const json whole{{"choices", version},
                   {"device", header_.device},
                   {"processor", header_.processor},
                   {"libraries", header_.libraries},
                   {"threads", header_.threads},
                   {"commit", header_.commit},
                   {"date", header_.date},
                   {"recipe", header_.recipe},
                   {"batch", header_.batch},
                   {"type", header_.type},
                   {"calls", calls}};
  return whole.dump(1) + "\n";
}

const Choice* Choices::find(std::string_view call) const {
  const auto found = std::ranges::find(calls_, call, &Choice::call);
  return found == calls_.end() ? nullptr : &*found;
}

std::string processor_of(const Device& device) {
  if (device.name() != "cuda") return cpuinfo("model name");
  for (const auto& summary : list_devices())
    if (summary.name == "cuda" && !summary.gpus.empty()) return summary.gpus.front().name;
  return "a GPU that is not here";
}

void Device::follow(std::shared_ptr<const Choices> choices) {
  if (choices) {
    const auto require = [&](std::string_view what, const std::string& expected, const std::string& got) {
      if (expected != got)
        throw UsageError("{}: {}: expected choices for {}, got choices for {}; measure here with scrawl tune",
                         choices->source(), what, expected, got);
    };
    require("device", name(), choices->header().device);
    require("processor", processor_of(*this), choices->header().processor);
  }
  choices_ = std::move(choices);
}

}  // namespace scrawl
