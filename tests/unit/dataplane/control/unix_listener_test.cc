// Control sockets: stale ones are replaced, live ones respected, strangers left alone.
#include "dataplane/control/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "CppUTest/TestHarness.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;
using Kind = UnixListener::Kind;
using IfAlive = UnixListener::IfAlive;

namespace {

bool answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int probe = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const bool good =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(probe);
  return good;
}

}  // namespace

TEST_GROUP(UnixListener) {
  TemporaryFolder folder;
  std::string path = folder.file("s");
};

TEST(UnixListener, ListensWithTheModeAskedForAndCleansUp) {
  {
    const auto listener = UnixListener::open(path, Kind::stream, 0640, IfAlive::refuse);
    CHECK(listener.has_value());
    CHECK(answers(path));
    struct stat status{};
    LONGS_EQUAL(0, ::stat(path.c_str(), &status));
    LONGS_EQUAL(0640, status.st_mode & 0777);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST(UnixListener, ReplacesWhatADeadProcessLeft) {
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  LONGS_EQUAL(0, ::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  ::close(dead);
  CHECK(std::filesystem::exists(path));
  const auto listener = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  CHECK(listener.has_value());
  CHECK(answers(path));
}

TEST(UnixListener, RefusesALivePath) {
  const auto first = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  const auto second = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  CHECK_FALSE(second.has_value());
  STRCMP_CONTAINS("a running process answers", second.error().message.c_str());
  STRCMP_CONTAINS("--takeover", second.error().message.c_str());
  CHECK(answers(path));
}

TEST(UnixListener, ReplacesALivePathInOneStepAndTheOldOneLeavesItAlone) {
  auto first = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  const auto second = UnixListener::open(path, Kind::stream, 0600, IfAlive::replace);
  CHECK(second.has_value());
  first = UnixListener();  // the old one ends
  CHECK(answers(path));
}

TEST(UnixListener, LeavesOtherFilesAlone) {
  {
    std::ofstream(path) << "precious";
  }
  const auto listener = UnixListener::open(path, Kind::stream, 0600, IfAlive::replace);
  CHECK_FALSE(listener.has_value());
  STRCMP_CONTAINS("is not a socket", listener.error().message.c_str());
  STRCMP_EQUAL("precious", folder.read("s").c_str());
}

TEST(UnixListener, NamesTheMissingFolder) {
  const auto listener =
      UnixListener::open(folder.file("no/s"), Kind::stream, 0600, IfAlive::refuse);
  STRCMP_CONTAINS(("there is no folder " + folder.file("no")).c_str(),
                  listener.error().message.c_str());
  const auto long_path =
      UnixListener::open(std::string(200, 'x'), Kind::stream, 0600, IfAlive::refuse);
  STRCMP_CONTAINS("cannot be a socket's path", long_path.error().message.c_str());
}

TEST(UnixListener, LetsThePathGoEarly) {
  auto listener = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  listener->remove_path();
  CHECK_FALSE(std::filesystem::exists(path));
  const auto other = UnixListener::open(path, Kind::stream, 0600, IfAlive::refuse);
  listener = UnixListener();
  CHECK(answers(path));
}
