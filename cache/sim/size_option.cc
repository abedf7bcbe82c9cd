// See size_option.h.
#include "cache/sim/size_option.h"

#include <algorithm>
#include <charconv>

namespace nearfield::cache::sim {

std::uint64_t SizeOption::bytes_of(std::uint64_t footprint_bytes) const {
  if (!is_percent) return bytes;
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(static_cast<double>(footprint_bytes) * percent / 100));
}

Result<SizeOption> parse_size(std::string_view text) {
  SizeOption option{.text = std::string(text)};
  const auto wrong = [&] {
    return failure(
        "'" + option.text +
        "' is not a cache size; write bytes with or without K, M, G or T, or a percentage "
        "of the footprint such as 10%");
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number > 0)) return wrong();
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (suffix == "%") {
    if (number > 100) return wrong();
    option.is_percent = true;
    option.percent = number;
    return option;
  }
  constexpr std::string_view kSuffixes = "KMGT";
  if (suffix.size() > 1) return wrong();
  if (suffix.size() == 1) {
    const std::size_t place = kSuffixes.find(suffix.front());
    if (place == std::string_view::npos) return wrong();
    number *= static_cast<double>(std::uint64_t{1} << (10 * (place + 1)));
  }
  if (number < 1 || number > 0x1p62) return wrong();
  option.bytes = static_cast<std::uint64_t>(number);
  return option;
}

}  // namespace nearfield::cache::sim
