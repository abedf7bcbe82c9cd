// Listener: real sockets on the loopback addresses; what goes wrong is said with its mend.
#include "dataplane/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/socket_address.h"

using namespace nearfield;
using net::Endpoint;
using net::Listener;

TEST_GROUP(Listener){static bool answers(const Endpoint& endpoint){net::SocketAddress address;
const socklen_t length = net::to_socket_address(endpoint, &address);
const int client = ::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
const bool connected = ::connect(client, &address.any, length) == 0;
::close(client);
return connected;
}
static Endpoint at(const char* host, std::uint16_t port) {
  return {*net::Address::parse(host), port};
}
}
;

TEST(Listener, TakesAFreePortAndTellsWhich) {
  const Result<Listener> listener = Listener::open(*Endpoint::parse("127.0.0.1:0"));
  CHECK(listener.has_value());
  CHECK(listener->local().port != 0);
  CHECK(answers(listener->local()));
}

TEST(Listener, EveryAddressMeansBothFamilies) {
  const Result<Listener> listener = Listener::open(*Endpoint::parse(":0"));
  CHECK(listener.has_value());
  CHECK(answers(at("127.0.0.1", listener->local().port)));
  if (!listener->local().address.is_v4()) CHECK(answers(at("::1", listener->local().port)));
}

TEST(Listener, V6OnlyLeavesIpv4Alone) {
  const Result<Listener> listener =
      Listener::open(*Endpoint::parse("[::]:0"), {.families = net::AddressFamilies::v6_only});
  if (!listener.has_value()) return;  // a machine without IPv6
  CHECK(answers(at("::1", listener->local().port)));
  CHECK(!answers(at("127.0.0.1", listener->local().port)));
}

TEST(Listener, SeveralWorkersListenAtOneAddress) {
  const Result<Listener> first = Listener::open(*Endpoint::parse("127.0.0.1:0"));
  const Result<Listener> second = Listener::open(first->local());
  CHECK(second.has_value());
  CHECK(first->local() == second->local());
}

TEST(Listener, AStrangersPortIsNamedInTheError) {
  const int stranger = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  net::SocketAddress address;
  const socklen_t length = net::to_socket_address(at("127.0.0.1", 0), &address);
  CHECK_EQUAL(0, ::bind(stranger, &address.any, length));
  CHECK_EQUAL(0, ::listen(stranger, 1));
  const Endpoint taken = net::local_endpoint(stranger);
  const Result<Listener> listener = Listener::open(taken);
  CHECK(!listener.has_value());
  STRCMP_CONTAINS(taken.text().c_str(), listener.error().message.c_str());
  STRCMP_CONTAINS("in use", listener.error().message.c_str());
  STRCMP_CONTAINS("ss -ltnp", listener.error().message.c_str());
  ::close(stranger);
}

TEST(Listener, AnAddressOfAnotherMachineIsSaidToBeSo) {
  const Result<Listener> listener = Listener::open(*Endpoint::parse("192.0.2.1:0"));
  CHECK(!listener.has_value());
  STRCMP_CONTAINS("does not have that address", listener.error().message.c_str());
}

TEST(Listener, AcceptedConnectionsHaveNoDelay) {
  const Result<Listener> listener = Listener::open(*Endpoint::parse("127.0.0.1:0"));
  net::SocketAddress address;
  const socklen_t length = net::to_socket_address(listener->local(), &address);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_EQUAL(0, ::connect(client, &address.any, length));
  const int accepted = ::accept(listener->descriptor(), nullptr, nullptr);
  int value = 0;
  socklen_t value_length = sizeof(value);
  CHECK_EQUAL(0, ::getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &value_length));
  CHECK(value != 0);
  ::close(accepted);
  ::close(client);
}

TEST(Listener, APassedSocketIsTakenOver) {
  Result<Listener> old_process = Listener::open(*Endpoint::parse("127.0.0.1:0"));
  const Endpoint endpoint = old_process->local();
  const int passed = old_process->release();
  const Result<Listener> new_process = Listener::adopt(passed);
  CHECK(new_process.has_value());
  CHECK(endpoint == new_process->local());
  CHECK(answers(endpoint));
}

TEST(Listener, WhatIsNoListeningSocketIsNotTakenOver) {
  const auto refused = [](int descriptor, const char* because) {
    const Result<Listener> listener = Listener::adopt(descriptor);
    CHECK(!listener.has_value());
    STRCMP_CONTAINS(because, listener.error().message.c_str());
  };
  refused(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "does not listen");
  refused(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not a TCP socket");
  refused(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "not a TCP socket");
  refused(1'000'000, "not open");
}
