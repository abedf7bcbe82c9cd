// Beast parses and serialises; a session is one template for both kinds of socket. Sessions keep
// themselves alive through their handlers and reach the node through the server's Impl, which
// forgets the node when the server goes.
#include "dataplane/control/control_server.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace nearfield::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::uint32_t kMaximumHeadBytes = 8 * 1024;
constexpr std::size_t kDiscardBytes = 16 * 1024;
constexpr std::size_t kMaximumDiscarded = 4 * 1024 * 1024;
// After accept() failed for want of descriptors: long enough not to spin, short enough not to be
// noticed.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

struct ControlServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(EventLoop& event_loop, NodeControl& served) : loop(event_loop), node(&served) {}

  template <typename Protocol>
  struct Session;
  template <typename Protocol>
  struct Acceptor;

  EventLoop& loop;
  NodeControl* node;
  std::size_t connections = 0;
  std::vector<std::function<void()>> closers;
};

template <typename Protocol>
struct ControlServer::Impl::Session : std::enable_shared_from_this<Session<Protocol>> {
  Session(std::shared_ptr<Impl> owner, typename Protocol::socket socket, ApiSurface shown)
      : server(std::move(owner)), stream(std::move(socket)), surface(shown) {
    ++server->connections;
  }
  ~Session() { --server->connections; }

  void read() {
    parser.emplace();
    parser->header_limit(kMaximumHeadBytes);
    parser->body_limit(kMaximumBodyBytes);
    stream.expires_after(kPatience);
    bhttp::async_read(stream, buffer, *parser,
                      [self = this->shared_from_this()](const error_code& code, std::size_t) {
                        self->on_read(code);
                      });
  }

  void on_read(const error_code& code) {
    if (server->node == nullptr) return;
    if (code == bhttp::error::body_limit) {
      send({.status = 413,
            .content_type = "application/json",
            .body = R"({"error":"the body is too large: 64 KiB at most"})",
            .allow = ""},
           false);
    } else if (code == bhttp::error::header_limit) {
      send({.status = 431,
            .content_type = "application/json",
            .body = R"({"error":"the head is too large: 8 KiB at most"})",
            .allow = ""},
           false);
    } else if (code.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
               code != bhttp::error::end_of_stream && code != bhttp::error::partial_message) {
      send({.status = 400,
            .content_type = "application/json",
            .body = R"({"error":"not an HTTP/1.1 request"})",
            .allow = ""},
           false);
    } else if (!code) {
      const auto& request = parser->get();
      send(answer({.method = request.method_string(),
                   .target = request.target(),
                   .body = request.body()},
                  surface, *server->node),
           request.keep_alive(), request.method() == bhttp::verb::head);
    }
  }

  void send(ApiResponse from, bool keep_alive, bool head_only = false) {
    response = {};
    response.version(11);
    response.result(from.status);
    response.set(bhttp::field::content_type, from.content_type);
    response.set(bhttp::field::cache_control, "no-store");
    if (!from.allow.empty()) response.set(bhttp::field::allow, from.allow);
    response.keep_alive(keep_alive);
    response.body() = std::move(from.body);
    response.prepare_payload();
    if (head_only) response.body().clear();  // Content-Length stays that of the body
    bhttp::async_write(
        stream, response,
        [self = this->shared_from_this(), keep_alive](const error_code& code, std::size_t) {
          if (code) return;  // the last reference goes, and with it the socket
          if (keep_alive) {
            self->read();
          } else {
            self->linger();
          }
        });
  }

  // Closing with something unread would reset the connection and destroy the answer on its way:
  // read on, within bounds.
  void linger() {
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    buffer.clear();
    discard();
  }

  void discard() {
    stream.async_read_some(
        buffer.prepare(kDiscardBytes),
        [self = this->shared_from_this()](const error_code& code, std::size_t got) {
          self->discarded += got;
          if (!code && self->discarded < kMaximumDiscarded) self->discard();
        });
  }

  std::shared_ptr<Impl> server;
  beast::basic_stream<Protocol> stream;
  ApiSurface surface;
  std::size_t discarded = 0;
  beast::flat_buffer buffer{kMaximumHeadBytes + kMaximumBodyBytes};
  std::optional<bhttp::request_parser<bhttp::string_body>> parser;
  bhttp::response<bhttp::string_body> response;
};

template <typename Protocol>
struct ControlServer::Impl::Acceptor : std::enable_shared_from_this<Acceptor<Protocol>> {
  Acceptor(std::shared_ptr<Impl> owner, const Protocol& protocol, int descriptor, ApiSurface shown)
      : server(std::move(owner)),
        acceptor(server->loop.context(), protocol, descriptor),
        pause(server->loop.context()),
        surface(shown) {}

  void accept() {
    acceptor.async_accept([self = this->shared_from_this()](const error_code& code,
                                                            typename Protocol::socket socket) {
      if (code == asio::error::operation_aborted || self->server->node == nullptr) return;
      if (code) {
        self->pause.expires_after(kAcceptPause);
        self->pause.async_wait([self](const error_code& cancelled) {
          if (!cancelled) self->accept();
        });
        return;
      }
      // Over the bound the socket simply goes.
      if (self->server->connections < kMaximumConnections) {
        std::make_shared<Session<Protocol>>(self->server, std::move(socket), self->surface)->read();
      }
      self->accept();
    });
  }

  void close() {
    error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
  }

  std::shared_ptr<Impl> server;
  typename Protocol::acceptor acceptor;
  asio::steady_timer pause;
  ApiSurface surface;
};

ControlServer::ControlServer(EventLoop& loop, NodeControl& node)
    : impl_(std::make_shared<Impl>(loop, node)) {}

ControlServer::~ControlServer() {
  stop_accepting();
  impl_->node = nullptr;
}

void ControlServer::serve_unix(int descriptor) {
  using Protocol = asio::local::stream_protocol;
  auto acceptor =
      std::make_shared<Impl::Acceptor<Protocol>>(impl_, Protocol(), descriptor, ApiSurface::full);
  impl_->closers.push_back([acceptor] { acceptor->close(); });
  acceptor->accept();
}

Result<void> ControlServer::serve_tcp(int descriptor) {
  using Protocol = asio::ip::tcp;
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    ::close(descriptor);
    return failure("the admin address has no socket: this descriptor is not one");
  }
  auto acceptor = std::make_shared<Impl::Acceptor<Protocol>>(
      impl_, address.ss_family == AF_INET ? Protocol::v4() : Protocol::v6(), descriptor,
      ApiSurface::read_only);
  impl_->closers.push_back([acceptor] { acceptor->close(); });
  acceptor->accept();
  return {};
}

void ControlServer::stop_accepting() {
  for (const auto& close : impl_->closers) close();
  impl_->closers.clear();
}

}  // namespace nearfield::control
