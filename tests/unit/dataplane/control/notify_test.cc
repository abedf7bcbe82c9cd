// What the service manager hears.
#include "dataplane/control/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "CppUTest/TestHarness.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;

TEST_GROUP(Notify) {
  TemporaryFolder folder;
  void teardown() override { ::unsetenv("NOTIFY_SOCKET"); }
};

TEST(Notify, SendsOneDatagram) {
  const std::string path = folder.file("notify");
  const int manager = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  LONGS_EQUAL(0, ::bind(manager, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_service_manager("READY=1");
  char text[64] = {};
  LONGS_EQUAL(7, ::recv(manager, text, sizeof(text), 0));
  STRCMP_EQUAL("READY=1", text);
  ::close(manager);
}

TEST(Notify, IsSilentWithoutAManager) {
  ::unsetenv("NOTIFY_SOCKET");
  notify_service_manager("READY=1");
  ::setenv("NOTIFY_SOCKET", folder.file("nobody").c_str(), 1);
  notify_service_manager("READY=1");
  ::setenv("NOTIFY_SOCKET", "relative", 1);
  notify_service_manager("READY=1");
}
