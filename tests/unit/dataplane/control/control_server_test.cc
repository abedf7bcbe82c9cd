// The control interface over a real Unix socket, with raw bytes: what is no HTTP, what is too
// large, who comes beside.
#include "dataplane/control/control_server.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "CppUTest/TestHarness.h"
#include "dataplane/control/unix_listener.h"
#include "dataplane/net/listener.h"
#include "dataplane/net/socket_address.h"
#include "tests/unit/dataplane/control/fake_node.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;

TEST_GROUP(ControlServer) {
  TemporaryFolder folder;
  std::string path = folder.file("c");
  FakeNode node;
  EventLoop loop;
  std::unique_ptr<ControlServer> server;
  UnixListener listener;
  net::Endpoint admin;
  std::thread thread;

  void setup() override {
    set_log_level(LogLevel::off);
    server = std::make_unique<ControlServer>(loop, node);
    listener =
        *UnixListener::open(path, UnixListener::Kind::stream, 0600, UnixListener::IfAlive::refuse);
    server->serve_unix(listener.release_descriptor());
    net::Listener tcp = *net::Listener::open(*net::Endpoint::parse("127.0.0.1:0"));
    admin = tcp.local();
    CHECK(server->serve_tcp(tcp.release()).has_value());
    thread = std::thread([this] { loop.run(); });
  }
  void teardown() override {
    loop.post([this] {
      server.reset();
      loop.stop();
    });
    thread.join();
    set_log_level(LogLevel::info);
  }

  int connect_unix() {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    LONGS_EQUAL(
        0, ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
    limit_patience(descriptor);
    return descriptor;
  }
  int connect_admin() {
    net::SocketAddress address;
    const socklen_t length = net::to_socket_address(admin, &address);
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    LONGS_EQUAL(0, ::connect(descriptor, &address.any, length));
    limit_patience(descriptor);
    return descriptor;
  }
  static void limit_patience(int descriptor) {
    const timeval time{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
  }
  static void say(int descriptor, std::string_view text) {
    (void)::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
  }
  // Everything until the server closes.
  static std::string hear(int descriptor) {
    std::string text;
    char block[4096];
    for (ssize_t got = 0; (got = ::recv(descriptor, block, sizeof(block), 0)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    ::close(descriptor);
    return text;
  }
  std::string exchange(int descriptor, std::string_view request) {
    say(descriptor, request);
    return hear(descriptor);
  }
};

TEST(ControlServer, AnswersSeveralRequestsOnOneConnection) {
  const std::string text =
      exchange(connect_unix(),
               "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
               "GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  STRCMP_CONTAINS("HTTP/1.1 200 OK", text.c_str());
  STRCMP_CONTAINS("\"node\":\"box-7\"", text.c_str());
  STRCMP_CONTAINS("HTTP/1.1 404 Not Found", text.c_str());
}

TEST(ControlServer, PurgesAndCloses) {
  const std::string text = exchange(
      connect_unix(),
      "POST /v1/purge HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 21\r\n\r\n"
      "{\"name\":\"http://x/a\"}");
  STRCMP_CONTAINS("\"purged\":1", text.c_str());
  STRCMP_CONTAINS("Content-Type: application/json", text.c_str());
  STRCMP_CONTAINS("Connection: close", text.c_str());
}

TEST(ControlServer, RefusesWhatIsNotHttp) {
  STRCMP_CONTAINS("HTTP/1.1 400", exchange(connect_unix(), "\x16\x03\x01 hello\r\n\r\n").c_str());
}

TEST(ControlServer, BoundsHeadAndBody) {
  STRCMP_CONTAINS("HTTP/1.1 413",
                  exchange(connect_unix(),
                           "POST /v1/purge HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
                      .c_str());
  const std::string head =
      "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'y') + "\r\n\r\n";
  STRCMP_CONTAINS("HTTP/1.1 431", exchange(connect_unix(), head).c_str());
}

TEST(ControlServer, TheAdminAddressIsReadOnly) {
  STRCMP_CONTAINS(
      "nearfield_requests_total 100",
      exchange(connect_admin(), "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
          .c_str());
  STRCMP_CONTAINS(
      "HTTP/1.1 404",
      exchange(connect_admin(), "POST /v1/drain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
          .c_str());
  CHECK(node.asked.empty());
}

TEST(ControlServer, BoundsConnections) {
  std::vector<int> held;
  for (std::size_t i = 0; i < ControlServer::kMaximumConnections; ++i)
    held.push_back(connect_unix());
  // The last one within the bound is served; so all before it were taken.
  say(held.back(), "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  char byte = 0;
  LONGS_EQUAL(1, ::recv(held.back(), &byte, 1, 0));
  STRCMP_EQUAL("", exchange(connect_unix(), "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").c_str());
  for (const int descriptor : held) ::close(descriptor);
}

TEST(ControlServer, ListenersThatVanishMatterToNobody) {
  for (int i = 0; i < 50; ++i) {
    const int descriptor = connect_unix();
    say(descriptor, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    ::close(descriptor);
  }
  STRCMP_CONTAINS(
      "200 OK",
      exchange(connect_unix(), "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
          .c_str());
}
