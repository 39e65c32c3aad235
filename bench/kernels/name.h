#pragma once
/// A problem's name, which is its own repro: an operation, and in brackets its extents, choices and type.
///
///   conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scrawl::bench {

class Name {
 public:
  Name(std::string operation, std::string type) : operation_(std::move(operation)), type_(std::move(type)) {}
  /// Throws UsageError where the text is no name.
  explicit Name(std::string_view text);

  const std::string& operation() const { return operation_; }
  const std::string& type() const { return type_; }
  std::string text() const;

  /// Adds a word, or changes the one there is.
  Name& set(const std::string& key, std::int64_t value);
  Name& set(const std::string& key, std::string_view value);
  /// The same, unless the value is what stands for an absent word.
  template <class Value>
  Name& set_unless(const Value& usual, const std::string& key, const Value& value) {
    return value == usual ? *this : set(key, value);
  }
  void set_type(std::string type) { type_ = std::move(type); }

  /// Throws UsageError, naming the word, where it is absent or no whole number of at least `least`.
  std::int64_t at(const std::string& key, std::int64_t least = 1) const;
  std::int64_t get(const std::string& key, std::int64_t otherwise, std::int64_t least = 0) const;
  std::string get(const std::string& key, const std::string& otherwise) const;
  bool has(const std::string& key) const;

  /// Throws UsageError if there are words that nobody has asked for.
  void expect_all_used() const;

 private:
  using Word = std::pair<std::string, std::string>;

  const std::string* find(const std::string& key) const;
  std::int64_t number(const std::string& key, const std::string& value, std::int64_t least) const;

  std::string operation_, type_;
  std::vector<Word> words_;  ///< in their order
  mutable std::set<std::string> used_;
};

}  // namespace scrawl::bench
