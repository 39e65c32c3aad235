#pragma once
/// Checks that a statement fails with the right error class and a message that says why.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

/// `statement` throws an `Exception` whose message holds each of the given strings.
#define EXPECT_MESSAGE(statement, Exception, ...)                                   \
  EXPECT_THAT([&] { statement; }, ::testing::Throws<Exception>(::testing::Property( \
                                      &std::exception::what, ::scrawl::holds_each({__VA_ARGS__}))))

namespace scrawl {

inline ::testing::Matcher<std::string> holds_each(std::initializer_list<std::string> parts) {
  ::testing::Matcher<std::string> all = ::testing::_;
  for (const auto& part : parts) all = ::testing::AllOf(all, ::testing::HasSubstr(part));
  return all;
}

}  // namespace scrawl
