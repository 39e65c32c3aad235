/// Where libraries are looked for, and what is said of those that are not there.

#include "kernels/cuda/vendor/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "kernels/error.h"
#include "tests/io/temporary_folder.h"

namespace scrawl::cuda {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

LibraryNames fake() { return {"Fake", "SCRAWL_FAKE", {"libscrawl_fake.so.1"}, {"nvidia/fake/lib"}}; }

/// Sets a variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

class Library : public testing::Test {
 protected:
  /// Puts the library into a Python environment.
  void install(const std::string& prefix, const std::string& packages) {
    const auto folder = folder_.path() / prefix / packages / "nvidia/fake/lib";
    fs::create_directories(folder);
    fs::copy_file(SCRAWL_FAKE_LIBRARY, folder / "libscrawl_fake.so.1");
  }
  std::string prefix(const std::string& name) const { return folder_.path() / name; }

  TemporaryFolder folder_;
  Variable none_[3]{{"SCRAWL_FAKE", ""}, {"VIRTUAL_ENV", ""}, {"CONDA_PREFIX", ""}};
};

std::string opened_path() { return SharedLibrary(fake()).path(); }

std::string failure(const LibraryNames& names) {
  try {
    SharedLibrary{names};
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

TEST_F(Library, is_the_file_that_the_environment_names) {
  const Variable chosen("SCRAWL_FAKE", SCRAWL_FAKE_LIBRARY);
  const SharedLibrary library(fake());
  EXPECT_EQ(library.path(), SCRAWL_FAKE_LIBRARY);
  EXPECT_EQ(Function<int()>(library, "fake_number")(), 42);
}

TEST_F(Library, that_the_environment_names_wrongly_is_not_looked_for_elsewhere) {
  install("env", "lib/python3.11/site-packages");
  const Variable environment("VIRTUAL_ENV", prefix("env"));
  const Variable chosen("SCRAWL_FAKE", "/nowhere/libfake.so");
  EXPECT_THAT(failure(fake()),
              AllOf(HasSubstr("Fake: SCRAWL_FAKE names a file"), HasSubstr("/nowhere/libfake.so")));
}

TEST_F(Library, is_found_in_python_environments) {
  install("venv", "lib/python3.11/site-packages");
  install("conda", "lib/python3.12/site-packages");
  {
    const Variable environment("VIRTUAL_ENV", prefix("venv"));
    EXPECT_THAT(opened_path(),
                EndsWith("venv/lib/python3.11/site-packages/nvidia/fake/lib/libscrawl_fake.so.1"));
  }
  const Variable environment("CONDA_PREFIX", prefix("conda"));
  EXPECT_THAT(opened_path(), HasSubstr("conda/lib/python3.12"));
}

TEST_F(Library, is_found_beside_the_python_on_path) {
  install("usr", "lib/python3/dist-packages");
  fs::create_directories(folder_.path() / "usr/bin");
  fs::create_symlink("/nowhere/python3.11", folder_.path() / "usr/bin/python3");
  const Variable path("PATH", "/nowhere:" + prefix("usr/bin") + ":/usr/bin");
  EXPECT_THAT(failure(fake()), HasSubstr("not found")) << "a link to nowhere is no Python";
  fs::remove(folder_.path() / "usr/bin/python3");
  fs::create_symlink("/bin/sh", folder_.path() / "usr/bin/python3");
  EXPECT_THAT(opened_path(), HasSubstr("usr/lib/python3/dist-packages"));
}

TEST_F(Library, of_the_latest_python_comes_first) {
  install("env", "lib/python3.9/site-packages");
  install("env", "lib/python3.11/site-packages");
  const Variable environment("VIRTUAL_ENV", prefix("env"));
  EXPECT_THAT(opened_path(), HasSubstr("python3.11"));
}

TEST_F(Library, that_is_not_there_says_where_it_may_be_put) {
  EXPECT_THAT(failure(fake()), AllOf(HasSubstr("Fake: not found"), HasSubstr("SCRAWL_FAKE"),
                                     HasSubstr("libscrawl_fake.so.1")));
}

TEST_F(Library, that_is_broken_is_passed_over_and_named) {
  install("env", "lib/python3.11/site-packages");
  const auto broken = folder_.path() / "env/lib/python3.12/site-packages/nvidia/fake/lib";
  fs::create_directories(broken);
  fs::copy_file(SCRAWL_SOURCE_DIR "/README.md", broken / "libscrawl_fake.so.1");
  const Variable environment("VIRTUAL_ENV", prefix("env"));
  EXPECT_THAT(opened_path(), HasSubstr("python3.11"));
  fs::remove_all(folder_.path() / "env/lib/python3.11");
  EXPECT_THAT(failure(fake()), HasSubstr("python3.12"));
}

TEST_F(Library, without_a_function_says_which) {
  const Variable chosen("SCRAWL_FAKE", SCRAWL_FAKE_LIBRARY);
  const SharedLibrary library(fake());
  try {
    Function<int()>(library, "fake_letter");
    FAIL() << "there is no such function";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("Fake: "), HasSubstr("has no function fake_letter")));
  }
}

}  // namespace
}  // namespace scrawl::cuda
