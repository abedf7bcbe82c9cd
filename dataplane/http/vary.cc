#include "dataplane/http/vary.h"

#include <algorithm>
#include <vector>

namespace nearfield::http {
namespace {

// Each name costs a search of the request's fields at every lookup; no honest response comes near.
constexpr std::size_t kMaxVaryNames = 32;
constexpr std::size_t kLongestPreferences = 512;
constexpr std::string_view kAcceptLanguage = "accept-language";

// Fields whose members are case-insensitive and ordered by weight, so that order among equals says
// nothing (RFC 9110 12.4.2, 12.5).
bool is_weighted_list(std::string_view name) {
  return name == kAcceptLanguage || name == "accept-encoding" || name == "accept" ||
         name == "accept-charset";
}

// One member of such a list.
struct Preference {
  std::string name;             // lower case, blanks removed, without the weight
  std::uint32_t weight = 1000;  // thousandths
};

// "0.5" -> 500; anything that is no qvalue counts as 1.
std::uint32_t parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 1000;
  std::uint32_t weight = text[0] == '1' ? 1000 : 0;
  if (text.size() == 1) return weight;
  if (text[1] != '.') return 1000;
  std::uint32_t unit = 100;
  for (char c : text.substr(2)) {
    if (!is_digit(c)) return 1000;
    weight += static_cast<std::uint32_t>(c - '0') * unit;
    unit /= 10;
  }
  return std::min(weight, 1000u);
}

std::vector<Preference> parse_preferences(std::string_view value) {
  std::vector<Preference> preferences;
  // A field of this length expresses no preferences; taken apart under the cache's lock it would be
  // an attack. As one member it still compares equal to itself.
  if (value.size() > kLongestPreferences) {
    preferences.push_back({std::string(value), 1000});
    return preferences;
  }
  ListReader list(value);
  while (const auto member = list.next()) {
    std::string compact;
    for (char c : *member) {
      if (!is_ows(c)) compact += to_lower(c);
    }
    Preference preference;
    const std::size_t weight = compact.rfind(";q=");
    preference.name = compact.substr(0, weight);
    if (weight != std::string::npos)
      preference.weight = parse_weight(std::string_view(compact).substr(weight + 3));
    preferences.push_back(std::move(preference));
  }
  std::ranges::stable_sort(preferences, [](const Preference& a, const Preference& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.name < b.name;
  });
  return preferences;
}

void append_weighted(std::string& out, std::string_view value) {
  bool first = true;
  for (const Preference& preference : parse_preferences(value)) {
    if (!first) out += ',';
    first = false;
    out += preference.name;
    if (preference.weight != 1000) {
      out += ";q=";
      append_number(out, preference.weight);
    }
  }
}

// Blanks around commas outside quotes go; everything else stays.
void append_list(std::string& out, std::string_view value) {
  bool first = true;
  ListReader list(value);
  while (const auto member = list.next()) {
    if (!first) out += ',';
    first = false;
    out += *member;
  }
}

// One line of the key: '+' and the normalised value, or '-' where the request has no such field.
void append_part(std::string& out, std::string_view name, const Fields& request) {
  std::optional<std::string> joined;
  std::optional<std::string_view> value = request.find(name);
  if (value && request.count(name) > 1) {
    joined = request.combined(name);
    value = *joined;
  }
  if (!value) {
    out += "-\n";
    return;
  }
  out += '+';
  if (is_weighted_list(name)) {
    append_weighted(out, *value);
  } else {
    append_list(out, *value);
  }
  out += '\n';
}

// Calls visit(name) for each of "a,b,c" until it returns false.
template <typename Visit>
bool each_name(std::string_view names, Visit visit) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(','), names.size());
    if (!visit(names.substr(0, end))) return false;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return true;
}

// The one language the request likes best; "" when several share the highest weight, or it is the
// wildcard.
std::string best_language(const Fields& request) {
  const auto value = request.combined("Accept-Language");
  if (!value) return "";
  const std::vector<Preference> preferences = parse_preferences(*value);
  if (preferences.empty() || preferences[0].weight == 0 || preferences[0].name == "*") return "";
  if (preferences.size() > 1 && preferences[1].weight == preferences[0].weight) return "";
  return preferences[0].name;
}

}  // namespace

std::optional<std::string> vary_names(const Fields& response) {
  std::vector<std::string> names;
  bool any = false;
  response.each_value("Vary", [&](std::string_view value) {
    ListReader list(value);
    while (const auto name = list.next()) {
      if (*name == "*" || !is_token(*name)) {
        any = true;
        return;
      }
      if (names.size() == kMaxVaryNames) {
        any = true;
        return;
      }
      append_lower(names.emplace_back(), *name);
    }
  });
  if (any) return std::nullopt;
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  std::string joined;
  for (const std::string& name : names) {
    if (!joined.empty()) joined += ',';
    joined += name;
  }
  return joined;
}

void append_vary_key(std::string& out, std::string_view names, const Fields& request) {
  each_name(names, [&](std::string_view name) {
    append_part(out, name, request);
    return true;
  });
}

bool vary_matches(std::string_view names, std::string_view stored_key, const Fields& request,
                  std::string_view content_language) {
  std::string part;
  return each_name(names, [&](std::string_view name) {
    part.clear();
    append_part(part, name, request);
    const std::size_t end = std::min(stored_key.find('\n'), stored_key.size() - 1) + 1;
    const std::string_view stored_part = stored_key.substr(0, end);
    stored_key.remove_prefix(stored_part.size());
    if (stored_part == part) return true;
    if (name != kAcceptLanguage || content_language.empty()) return false;
    const std::string best = best_language(request);
    return !best.empty() && equals_ignoring_case(best, trim_ows(content_language));
  });
}

}  // namespace nearfield::http
