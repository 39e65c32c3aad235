#include "runtime/io/cpuinfo.h"

#include <gtest/gtest.h>

#include <sstream>

namespace scrawl {
namespace {

std::string value(const std::string& text, std::string_view key) {
  std::istringstream info(text);
  return cpuinfo(key, info);
}

TEST(cpuinfo, is_the_value_of_the_first_line_with_the_key) {
  const std::string text =
      "processor\t: 0\nmodel\t\t: 17\nmodel name\t: A CPU: fast\n\nmodel name\t: B CPU\n";
  EXPECT_EQ(value(text, "model name"), "A CPU: fast");
  EXPECT_EQ(value(text, "model"), "17");
  EXPECT_EQ(value(text, "processor"), "0");
}

TEST(cpuinfo, what_has_no_value_is_empty) {
  for (const char* text : {"", "model name", "model name\t:", "model name\t:\n",
                           "model name\t: \nflags\t\t: fpu\n", "model name of another kind\t: x\n"})
    EXPECT_EQ(value(text, "model name"), "") << text;
}

}  // namespace
}  // namespace scrawl
