// Whatever a stranger sends as HTTP/2, cut anywhere: nothing crashes, hangs or stays behind. The
// first byte says how large the pieces are, the second whether a proper beginning is put before the
// rest; the answers of the origin depend on what is asked for, so that streams of all kinds are
// open when something goes wrong.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/assert.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy::testing;

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kEmptySettings("\0\0\0\x04\0\0\0\0\0", 9);

void answer(ScriptedCall& call) {
  const std::string& path = call.request.path_and_query;
  switch (path.size() % 4) {
    case 0:
      call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(50'000, 'x'));
      return;
    case 1:
      call.answer(200, {{"Cache-Control", "no-store"}}, path);
      return;
    case 2:
      call.head(200, {{"Cache-Control", "max-age=600"}}, std::nullopt);
      call.body("and no end");
      return;
    default:
      call.fail(origin::OriginFailureKind::broken);
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  ProxyFixture node(1, 1, 2 << 20);
  node.on_call = answer;
  sim::LinkOptions link;
  link.to_server.maximum_segment_bytes = 1 + std::size_t{data[0]} * 8;
  node.world.set_default_link(link);
  std::string bytes;
  if ((data[1] & 1) != 0) {
    bytes += kPreface;
    bytes += kEmptySettings;
  }
  bytes.append(reinterpret_cast<const char*>(data) + 2, size - 2);
  {
    auto peer = node.client();
    peer->send(bytes);
    node.world.run_for(std::chrono::seconds(1));
    if ((data[1] & 2) != 0) node.workers[0].proxy->drain();
    node.world.run_for(std::chrono::seconds(20));
  }
  node.workers[0].proxy->abort_all();
  node.world.settle();
  NEARFIELD_ASSERT(node.workers[0].proxy->idle());
  return 0;
}
