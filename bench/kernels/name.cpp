#include "bench/kernels/name.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "kernels/error.h"

namespace scrawl::bench {

namespace {

const std::vector<std::string> types{"bf16", "f16", "tf32", "f32"};

}  // namespace

Name::Name(std::string_view text) {
  const auto open = text.find('[');
  if (open == std::string_view::npos || open == 0 || !text.ends_with(']'))
    throw UsageError("{}: expected a name like dense.forward[rows=64,I=512,O=256,bf16]", text);
  operation_ = text.substr(0, open);
  auto rest = text.substr(open + 1, text.size() - open - 2);
  while (!rest.empty()) {
    const auto word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    const auto equals = word.find('=');
    const std::string key(word.substr(0, equals));
    if (equals != std::string_view::npos && std::ranges::find(words_, key, &Word::first) != words_.end())
      throw UsageError("{}: {}: expected it once, got it again", text, key);
    if (equals != std::string_view::npos)
      set(key, word.substr(equals + 1));
    else if (std::ranges::find(types, word) != types.end() && type_.empty())
      type_ = word;
    else if (!type_.empty())
      throw UsageError("{}: expected one type, got {} and {}", text, type_, word);
    else
      throw UsageError("{}: {}: expected key=value, or a type of {}", text, word, fmt::join(types, ", "));
  }
  if (type_.empty())
    throw UsageError("{}: expected a type among its words, of {}", text, fmt::join(types, ", "));
}

std::string Name::text() const {
  std::string words;
  for (const auto& [key, value] : words_) words += fmt::format("{}={},", key, value);
  return fmt::format("{}[{}{}]", operation_, words, type_);
}

Name& Name::set(const std::string& key, std::int64_t value) {
  return set(key, std::string_view(std::to_string(value)));
}

Name& Name::set(const std::string& key, std::string_view value) {
  const auto found = std::ranges::find(words_, key, &Word::first);
  if (found == words_.end())
    words_.emplace_back(key, value);
  else
    found->second = value;
  return *this;
}

const std::string* Name::find(const std::string& key) const {
  used_.insert(key);
  const auto found = std::ranges::find(words_, key, &Word::first);
  return found == words_.end() ? nullptr : &found->second;
}

std::int64_t Name::number(const std::string& key, const std::string& value, std::int64_t least) const {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  constexpr std::int64_t most = std::int64_t{1} << 33;
  if (error == std::errc() && number > most)
    throw UsageError("{}: {}: expected at most {}, got {}", text(), key, most, value);
  if (error != std::errc() || end != value.data() + value.size() || number < least)
    throw UsageError("{}: {}: expected a whole number of at least {}, got {}", text(), key, least, value);
  return number;
}

std::int64_t Name::at(const std::string& key, std::int64_t least) const {
  const auto* const value = find(key);
  if (!value) throw UsageError("{}: expected {}=...", text(), key);
  return number(key, *value, least);
}

std::int64_t Name::get(const std::string& key, std::int64_t otherwise, std::int64_t least) const {
  const auto* const value = find(key);
  return value ? number(key, *value, least) : otherwise;
}

std::string Name::get(const std::string& key, const std::string& otherwise) const {
  const auto* const value = find(key);
  return value ? *value : otherwise;
}

bool Name::has(const std::string& key) const { return find(key) != nullptr; }

void Name::expect_all_used() const {
  for (const auto& [key, value] : words_)
    if (!used_.contains(key))
      throw UsageError("{}: {}: expected one of {}", text(), key, fmt::join(used_, ", "));
}

}  // namespace scrawl::bench
