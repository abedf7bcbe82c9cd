// Short traces and files for the simulator's tests.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = "/tmp/nearfield-cachesim-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    for (const std::string& file : files_) std::remove(file.c_str());
    rmdir(path_.c_str());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name, const std::string& content = {}) {
    const std::string path = path_ + "/" + name;
    files_.push_back(path);
    if (!content.empty()) {
      std::FILE* file = std::fopen(path.c_str(), "wb");
      std::fwrite(content.data(), 1, content.size(), file);
      std::fclose(file);
    }
    return path;
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

// One request a second for each identifier, of the same size.
inline std::vector<Request> requests_of(std::initializer_list<std::uint64_t> ids,
                                        std::uint32_t size_bytes = 1) {
  std::vector<Request> requests;
  for (std::uint64_t id : ids) {
    requests.push_back({id, size_bytes, static_cast<std::uint32_t>(requests.size())});
  }
  return requests;
}

}  // namespace nearfield::cache::sim
