/// write_samples FOLDER: the sample files, for tests/peers/files.py to read with the Python packages.

#include <cstdio>

#include "runtime/io/file.h"
#include "tests/io/samples.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_samples FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder(argv[1]);
  scrawl::make_directories(folder / "events");
  scrawl::write_sample_tensors(folder / "sample.safetensors");
  scrawl::write_sample_events(folder / "events");
}
