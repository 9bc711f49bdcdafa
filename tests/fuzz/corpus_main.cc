// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of a folder, each whole, cut short and with an octet changed;
// so that the corpus is an ordinary test with any compiler.
//   <target>_corpus FOLDER
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void Run(const std::string& octets) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(octets.data()), octets.size());
}

void RunAll(const std::string& octets) {
  Run(octets);
  // Every place of a small file, some 500 of a large one.
  const size_t step = octets.size() / 500 + 1;
  for (size_t at = 0; at < octets.size(); at += step) {
    Run(octets.substr(0, at));
    std::string changed = octets;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    Run(changed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  std::error_code error;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::fprintf(stderr, "%s\n", entry.path().c_str());
    RunAll(std::string(std::istreambuf_iterator<char>(file), {}));
    ++files;
  }
  std::fprintf(stderr, "%d files\n", files);
  return error || files == 0 ? 1 : 0;
}
