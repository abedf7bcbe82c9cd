// nearfield-dataplane-impaired: the node, with a bad link before every queue of its ports. What the
// link does is in the environment, beside the command line of the node:
//
//   NEARFIELD_IMPAIRMENT="seed=7,loss=0.01,duplication=0.01,reordering=0.02,corruption=0.005"
//
// Chances are of a packet, in each direction; refusal is a full ring's, of a burst to be sent. A
// worker's queue has the seed plus its index, and its own draws; which packet meets which draw is
// up to the peers' timing.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/dpdk_transport.h"
#include "dataplane/program.h"
#include "tests/sim/dpdk/impairment.h"

namespace nearfield {
namespace {

using net::dpdk::Impairment;
using net::dpdk::ImpairmentOptions;
using net::dpdk::PacketIo;

template <typename Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

bool set(std::string_view name, std::string_view value, ImpairmentOptions& options) {
  if (name == "seed") return read(value, options.seed);
  if (name == "loss") return read(value, options.loss);
  if (name == "duplication") return read(value, options.duplication);
  if (name == "corruption") return read(value, options.corruption);
  if (name == "reordering") return read(value, options.reordering);
  if (name == "reordering_distance") return read(value, options.reordering_distance);
  if (name == "refusal") return read(value, options.refusal);
  return false;
}

Result<ImpairmentOptions> impairment() {
  ImpairmentOptions options;
  const char* const given = std::getenv("NEARFIELD_IMPAIRMENT");
  std::string_view rest = given == nullptr ? "" : given;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const std::size_t equals = one.find('=');
    if (equals == one.npos || !set(one.substr(0, equals), one.substr(equals + 1), options)) {
      return failure("NEARFIELD_IMPAIRMENT has \"" + std::string(one) +
                     "\": it takes seed, loss, duplication, corruption, reordering, "
                     "reordering_distance and refusal, each with = and a number");
    }
  }
  return options;
}

Result<control::TransportKind> transport_of(const control::Config& config) {
  if (config.transport != control::TransportChoice::dpdk)
    return failure("a bad link is made before DPDK ports only: use transport = \"dpdk\"");
  const auto options = impairment();
  if (!options) return std::unexpected(options.error());
  return dpdk_transport(config.dpdk, [options = *options](PacketIo& queue, std::uint16_t worker) {
    ImpairmentOptions own = options;
    own.seed += worker;
    return std::make_unique<Impairment>(queue, own);
  });
}

}  // namespace
}  // namespace nearfield

int main(int argc, char** argv) {
  return nearfield::run_program(argc, argv, nearfield::transport_of);
}
