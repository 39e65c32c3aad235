#include "bench/read_report.h"

#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl::bench {
namespace {

using Json = nlohmann::json;

/// An object of the file, and what errors call it: `old.json: rows[3].us`.
class Place {
 public:
  Place(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json_.is_object()) throw DataError("{}: expected an object, got {}", where_, json_.type_name());
  }

  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  std::string path(const char* key) const { return fmt::format("{}.{}", where_, key); }
  const Json& json() const { return json_; }

  const Json& at(const char* key, const char* expected) const {
    if (!json_.contains(key)) throw DataError("{}: expected {}, got nothing", path(key), expected);
    return json_[key];
  }
  Place object(const char* key) const { return {at(key, "an object"), path(key)}; }
  std::string text(const char* key) const {
    const auto& value = at(key, "text");
    if (!value.is_string()) throw DataError("{}: expected text, got {}", path(key), value.type_name());
    return value.get<std::string>();
  }
  double number(const char* key) const {
    const auto& value = at(key, "a number");
    if (!value.is_number()) throw DataError("{}: expected a number, got {}", path(key), value.type_name());
    return value.get<double>();
  }
  double positive(const char* key) const {
    const double value = number(key);
    if (!(value > 0)) throw DataError("{}: expected more than 0, got {}", path(key), value);
    return value;
  }
  std::uint64_t count(const char* key) const {
    const auto& value = at(key, "a count");
    if (!value.is_number_unsigned()) throw DataError("{}: expected a count, got {}", path(key), value.dump());
    return value.get<std::uint64_t>();
  }
  int whole(const char* key) const {
    const auto value = count(key);
    if (value > 1'000'000'000) throw DataError("{}: expected at most a billion, got {}", path(key), value);
    return static_cast<int>(value);
  }
  bool truth(const char* key) const {
    const auto& value = at(key, "true or false");
    if (!value.is_boolean())
      throw DataError("{}: expected true or false, got {}", path(key), value.type_name());
    return value.get<bool>();
  }
  std::vector<Place> objects(const char* key) const {
    const auto& value = at(key, "a list");
    if (!value.is_array()) throw DataError("{}: expected a list, got {}", path(key), value.type_name());
    std::vector<Place> all;
    for (std::size_t i = 0; i < value.size(); ++i)
      all.emplace_back(value[i], fmt::format("{}[{}]", path(key), i));
    return all;
  }

 private:
  const Json& json_;
  std::string where_;
};

Summary summary_of(const Place& spread) {
  return {.median = spread.positive("median"),
          .p10 = spread.number("p10"),
          .p90 = spread.number("p90"),
          .mad = spread.number("mad"),
          .samples = spread.whole("samples")};
}

Header header_of(const Place& place) {
  const auto text_if = [&](const char* key) { return place.has(key) ? place.text(key) : std::string(); };
  Header header{.machine = place.text("machine"),
                .cpu = place.text("cpu"),
                .clocks = text_if("clocks"),
                .commit = place.text("commit"),
                .date = place.text("date"),
                .command = text_if("command")};
  if (place.has("gpu")) header.gpu = place.text("gpu");
  if (place.has("driver")) header.driver = place.text("driver");
  if (place.has("load")) header.load = place.number("load");
  if (place.has("flushed_bytes")) header.flushed_bytes = place.count("flushed_bytes");
  if (place.has("libraries")) {
    const auto libraries = place.object("libraries");
    for (const auto& item : libraries.json().items())
      header.libraries[item.key()] = libraries.text(item.key().c_str());
  }
  if (place.has("ceilings")) {
    const auto ceilings = place.object("ceilings");
    for (const auto& item : ceilings.json().items()) {
      const auto ceiling = ceilings.object(item.key().c_str());
      header.ceilings[item.key()] = {ceiling.positive("per_second"), ceiling.text("by")};
    }
  }
  return header;
}

Search search_of(const Place& place) {
  return {.plans = place.whole("plans"),
          .refused = place.whole("refused"),
          .tried = place.whole("tried"),
          .wrong = place.whole("wrong"),
          .failed = place.whole("failed"),
          .is_cut_short = place.truth("cut_short"),
          .unavailable = place.has("unavailable") ? place.text("unavailable") : ""};
}

Comparison timing_of(const Place& place) {
  Comparison timing;
  if (place.has("us")) timing.ours = summary_of(place.object("us"));
  if (place.has("peer")) {
    timing.peer = place.text("peer");
    timing.peer_us = summary_of(place.object("peer_us"));
    timing.ratio = summary_of(place.object("ratio"));
  }
  if (place.has("peers")) {
    for (const auto& peer : place.objects("peers"))
      timing.all.push_back(
          {peer.text("name"), summary_of(peer.object("us")), summary_of(peer.object("ratio"))});
  } else if (place.has("peer")) {
    timing.all.push_back({timing.peer, timing.peer_us, timing.ratio});
  }
  return timing;
}

Row row_of(const Place& place, const Header& header) {
  const auto cache = place.text("cache");
  if (cache != "cold" && cache != "hot")
    throw DataError("{}: expected cold or hot, got {}", place.path("cache"), cache);
  Row row{.name = place.text("name"),
          .device = place.text("device"),
          .variant = place.text("variant"),
          .type = place.text("type"),
          .cache = cache == "cold" ? Cache::cold : Cache::hot,
          .timing = timing_of(place),
          .cost = {.flops = place.number("flops"), .bytes = place.number("bytes")},
          .ceilings = std::nullopt,
          .passed = std::nullopt};
  const auto& measured = header.ceilings;
  if (place.has("percent_of_limit") && measured.contains(row.type) && measured.contains("copy"))
    row.ceilings = Ceilings{measured.at(row.type).per_second, measured.at("copy").per_second};
  if (place.has("passed")) row.passed = place.truth("passed");
  if (place.has("wrong")) row.wrong = place.text("wrong");
  if (place.has("refused")) row.refused = place.text("refused");
  if (place.has("search")) row.search = search_of(place.object("search"));
  if (place.has("counts")) {
    const auto counts = place.object("counts");
    for (const auto& item : counts.json().items()) row.counts[item.key()] = counts.count(item.key().c_str());
  }
  return row;
}

}  // namespace

Report read_report(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  Json json;
  try {
    json = Json::parse(bytes.begin(), bytes.end());
  } catch (const Json::exception& why) {
    throw DataError("{}: expected a report of scrawl bench, got what is not JSON: {}", path.string(),
                    why.what());
  }
  if (!json.is_object() || !json.contains("header") || !json.contains("rows"))
    throw DataError("{}: expected a report of scrawl bench, an object of header and rows, got other JSON",
                    path.string());
  const Place all(json, path.string());
  Report report{.header = header_of(all.object("header")), .rows = {}};
  for (const auto& row : all.objects("rows")) report.rows.push_back(row_of(row, report.header));
  return report;
}

}  // namespace scrawl::bench
