#include "dataplane/http/date.h"

#include <algorithm>

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

using std::chrono::day;
using std::chrono::days;
using std::chrono::month;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Takes the text from the front, piece by piece; once something did not fit, nothing fits.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  void literal(std::string_view expected) {
    if (!equals_ignoring_case(rest_.substr(0, expected.size()), expected)) return fail();
    rest_.remove_prefix(expected.size());
  }
  int digits(std::size_t count) {
    int number = 0;
    if (rest_.size() < count) return fail(), 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(rest_[i])) return fail(), 0;
      number = number * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return number;
  }
  // Day of asctime: two characters, the first may be a space.
  int padded_day() {
    if (!rest_.starts_with(' ')) return digits(2);
    rest_.remove_prefix(1);
    return digits(1);
  }
  unsigned month_name() {
    for (unsigned i = 0; i < kMonths.size(); ++i) {
      if (equals_ignoring_case(rest_.substr(0, 3), kMonths[i])) {
        rest_.remove_prefix(3);
        return i + 1;
      }
    }
    fail();
    return 1;
  }
  void weekday(bool full_name) {
    for (std::string_view name : kWeekdays) {
      const std::string_view expected = full_name ? name : name.substr(0, 3);
      if (equals_ignoring_case(rest_.substr(0, expected.size()), expected)) {
        rest_.remove_prefix(expected.size());
        return;
      }
    }
    fail();
  }
  bool complete() const { return valid_ && rest_.empty(); }

 private:
  void fail() {
    valid_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool valid_ = true;
};

struct Parts {
  int year_number = 0;
  unsigned month_number = 1;
  int day_number = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void scan_time(Scanner& scanner, Parts& parts) {
  parts.hour = scanner.digits(2);
  scanner.literal(":");
  parts.minute = scanner.digits(2);
  scanner.literal(":");
  parts.second = scanner.digits(2);
}

std::optional<WallTime> to_time(const Parts& parts) {
  if (parts.hour > 23 || parts.minute > 59 || parts.second > 60) return std::nullopt;
  const year_month_day date(year(parts.year_number), month(parts.month_number),
                            day(static_cast<unsigned>(parts.day_number)));
  if (!date.ok()) return std::nullopt;
  return sys_days(date) + std::chrono::hours(parts.hour) + std::chrono::minutes(parts.minute) +
         std::chrono::seconds(parts.second);
}

int full_year(int two_digits, WallTime now) {
  const int this_year = static_cast<int>(year_month_day(std::chrono::floor<days>(now)).year());
  int full = this_year - this_year % 100 + two_digits;
  if (full > this_year + 50) full -= 100;
  // Late in a century the digits may mean the next one: 2090 reading "20" is 2120.
  if (full + 100 <= this_year + 50) full += 100;
  return full;
}

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text, WallTime now) {
  // The shortest form is asctime with 24 characters, the longest RFC 850 on a Wednesday with 33.
  if (text.size() < 24 || text.size() > 33) return std::nullopt;
  Scanner scanner(text);
  Parts parts;
  if (text[3] == ',') {  // Sun, 06 Nov 1994 08:49:37 GMT
    scanner.weekday(false);
    scanner.literal(", ");
    parts.day_number = scanner.digits(2);
    scanner.literal(" ");
    parts.month_number = scanner.month_name();
    scanner.literal(" ");
    parts.year_number = scanner.digits(4);
    scanner.literal(" ");
    scan_time(scanner, parts);
    scanner.literal(" GMT");
  } else if (text[3] == ' ') {  // Sun Nov  6 08:49:37 1994
    scanner.weekday(false);
    scanner.literal(" ");
    parts.month_number = scanner.month_name();
    scanner.literal(" ");
    parts.day_number = scanner.padded_day();
    scanner.literal(" ");
    scan_time(scanner, parts);
    scanner.literal(" ");
    parts.year_number = scanner.digits(4);
  } else {  // Sunday, 06-Nov-94 08:49:37 GMT
    scanner.weekday(true);
    scanner.literal(", ");
    parts.day_number = scanner.digits(2);
    scanner.literal("-");
    parts.month_number = scanner.month_name();
    scanner.literal("-");
    parts.year_number = full_year(scanner.digits(2), now);
    scanner.literal(" ");
    scan_time(scanner, parts);
    scanner.literal(" GMT");
  }
  if (!scanner.complete()) return std::nullopt;
  return to_time(parts);
}

HttpDate format_http_date(WallTime time) {
  static constexpr WallTime kFirst = sys_days(year(0) / 1 / 1);
  static constexpr WallTime kLast = sys_days(year(10000) / 1 / 1) - std::chrono::seconds(1);
  time = std::clamp(time, kFirst, kLast);
  const auto midnight = std::chrono::floor<days>(time);
  const year_month_day date(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);

  HttpDate out;
  char* at = out.text.data();
  const auto put_text = [&at](std::string_view text) {
    at = std::copy(text.begin(), text.end(), at);
  };
  const auto put_two = [&at](unsigned number) {
    *at++ = static_cast<char>('0' + number / 10);
    *at++ = static_cast<char>('0' + number % 10);
  };
  put_text(kWeekdays[std::chrono::weekday(midnight).c_encoding()].substr(0, 3));
  put_text(", ");
  put_two(static_cast<unsigned>(date.day()));
  put_text(" ");
  put_text(kMonths[static_cast<unsigned>(date.month()) - 1]);
  put_text(" ");
  const auto year_number = static_cast<unsigned>(static_cast<int>(date.year()));
  put_two(year_number / 100);
  put_two(year_number % 100);
  put_text(" ");
  put_two(static_cast<unsigned>(clock.hours().count()));
  put_text(":");
  put_two(static_cast<unsigned>(clock.minutes().count()));
  put_text(":");
  put_two(static_cast<unsigned>(clock.seconds().count()));
  put_text(" GMT");
  return out;
}

}  // namespace nearfield::http
