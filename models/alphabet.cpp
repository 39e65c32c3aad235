#include "models/alphabet.h"

#include <nlohmann/json.hpp>
#include <set>

#include "kernels/error.h"

namespace scrawl {
namespace {

using Json = nlohmann::json;

std::string_view name_of(Target target) { return target == Target::sequence ? "sequence" : "single"; }

/// The pieces of a label that have a class each.
std::vector<std::u32string> split_label(std::string_view label, Target target, Normalisation normalisation) {
  const std::u32string text = normalise(label, normalisation);
  if (target == Target::single) return {text};
  std::vector<std::u32string> pieces;
  for (const char32_t c : text) pieces.emplace_back(1, c);
  return pieces;
}

/// 'x' (U+0078), or the whole label of a classifier.
std::string describe(const std::u32string& symbol) {
  const std::string text = to_utf8(symbol);
  if (symbol.size() != 1) return fmt::format("'{}'", text);
  return fmt::format("'{}' (U+{:04X})", text, static_cast<std::uint32_t>(symbol[0]));
}

}  // namespace

Alphabet::Alphabet(std::vector<std::string> symbols, Target target, Normalisation normalisation)
    : symbols_(std::move(symbols)),
      target_(target),
      normalisation_(normalisation),
      first_(target == Target::sequence ? blank + 1 : 0) {
  for (std::int32_t i = 0; const std::string& symbol : symbols_) {
    const std::u32string text = code_points(symbol);
    if (text.empty() || (target == Target::sequence && text.size() != 1))
      throw DataError("alphabet: expected {}, got '{}'",
                      target == Target::sequence ? "single characters" : "labels that are not empty", symbol);
    if (normalise(symbol, normalisation) != text)
      throw DataError("alphabet: {} is not in the form {}", describe(text), scrawl::name_of(normalisation));
    if (!class_of_.emplace(text, first_ + i++).second)
      throw DataError("alphabet: {} appears twice", describe(text));
  }
}

Alphabet Alphabet::of_labels(std::span<const std::string> labels, Target target,
                             Normalisation normalisation) {
  std::set<std::u32string> pieces;
  for (const std::string& label : labels)
    for (std::u32string& piece : split_label(label, target, normalisation)) pieces.insert(std::move(piece));
  std::vector<std::string> symbols;
  for (const std::u32string& piece : pieces) symbols.push_back(to_utf8(piece));
  return Alphabet(std::move(symbols), target, normalisation);
}

std::vector<std::int32_t> Alphabet::encode(std::string_view label, Unknown unknown) const {
  std::vector<std::int32_t> classes;
  for (const std::u32string& piece : split_label(label, target_, normalisation_)) {
    if (const auto found = class_of_.find(piece); found != class_of_.end())
      classes.push_back(found->second);
    else if (unknown == Unknown::fail)
      throw DataError("alphabet: {} of the label '{}' is not among its {} symbols", describe(piece), label,
                      symbols_.size());
  }
  return classes;
}

std::vector<std::int32_t> Alphabet::encode(std::string_view label) const {
  return encode(label, Unknown::fail);
}

std::vector<std::int32_t> Alphabet::encode_known(std::string_view label) const {
  return encode(label, Unknown::omit);
}

bool Alphabet::knows(std::string_view label) const {
  return std::ranges::all_of(split_label(label, target_, normalisation_),
                             [&](const std::u32string& piece) { return class_of_.contains(piece); });
}

std::string Alphabet::decode(std::span<const std::int32_t> classes) const {
  std::string text;
  for (const std::int32_t c : classes) {
    if (c < first_ || c >= this->classes())
      throw DataError("alphabet: expected a class from {} to {}, got {}", first_, this->classes() - 1, c);
    text += symbols_[static_cast<std::size_t>(c - first_)];
  }
  return text;
}

std::string Alphabet::to_json() const {
  return Json{
      {"target", name_of(target_)}, {"normalisation", scrawl::name_of(normalisation_)}, {"symbols", symbols_}}
      .dump();
}

Alphabet Alphabet::from_json(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const auto target = json.at("target").get<std::string>();
    if (target != "sequence" && target != "single")
      throw DataError("alphabet: expected the target sequence or single, got '{}'", target);
    return Alphabet(json.at("symbols").get<std::vector<std::string>>(),
                    target == "sequence" ? Target::sequence : Target::single,
                    normalisation_named(json.at("normalisation").get<std::string>()));
  } catch (const Json::exception& error) {
    throw DataError("alphabet: {}", error.what());
  } catch (const UsageError& error) {
    throw DataError("alphabet: {}", error.what());
  }
}

}  // namespace scrawl
