#pragma once
/// Checks that a statement fails with the right error class and a message that says why.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <initializer_list>
#include <string>

/// `statement` throws an `Exception` whose message holds each of the given strings.
#define EXPECT_MESSAGE(statement, Exception, ...) \
  EXPECT_THAT(::scrawl::message_of<Exception>([&] { statement; }), ::scrawl::holds_each({__VA_ARGS__}))

namespace scrawl {

template <class Exception, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Exception& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "an exception of another class: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no exception";
  return {};
}

inline ::testing::Matcher<std::string> holds_each(std::initializer_list<std::string> parts) {
  ::testing::Matcher<std::string> all = ::testing::_;
  for (const auto& part : parts) all = ::testing::AllOf(all, ::testing::HasSubstr(part));
  return all;
}

}  // namespace scrawl
