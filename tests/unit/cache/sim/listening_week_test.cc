// The generated week: the same from the same seed, and like the numbers in listening_model.h it was
// made from.
#include "cache/sim/listening_week.h"

#include <algorithm>
#include <map>

#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache::sim;
using namespace nearfield::cache::sim::listening;

namespace {

std::vector<Request> generate(const ListeningOptions& options) {
  return read_all(**ListeningWeek::create(options)).value();
}

// One week of a few hundred listeners, made once for all tests that only look at it.
struct Week {
  std::vector<Request> requests;
  ListeningWeek::Counts counts;
};
const Week& week() {
  static const Week made = [] {
    auto source = ListeningWeek::create({.seed = 11, .listeners = 400});
    Week result{.requests = *read_all(**source), .counts = (*source)->counts()};
    return result;
  }();
  return made;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// Plays seen in the trace: the first segment of a track.
template <typename Visit>
void for_each_play(Visit visit) {
  for (const Request& request : week().requests) {
    if (Catalogue::segment_of(request.id) == 0) visit(request);
  }
}

}  // namespace

TEST_GROUP(ListeningWeek){};

TEST(ListeningWeek, is_the_same_from_the_same_seed) {
  const ListeningOptions options{.seed = 3, .listeners = 50, .days = 1};
  const auto once = generate(options);
  const auto again = generate(options);
  const auto other = generate({.seed = 4, .listeners = 50, .days = 1});
  CHECK_TRUE(once.size() > 1000);
  UNSIGNED_LONGLONGS_EQUAL(once.size(), again.size());
  for (std::size_t i = 0; i < once.size(); ++i) {
    UNSIGNED_LONGLONGS_EQUAL(once[i].id, again[i].id);
    UNSIGNED_LONGS_EQUAL(once[i].size_bytes, again[i].size_bytes);
    UNSIGNED_LONGS_EQUAL(once[i].time_seconds, again[i].time_seconds);
  }
  CHECK_TRUE(once.size() != other.size());
}

TEST(ListeningWeek, is_the_same_after_rewind_and_in_other_pieces) {
  auto source = ListeningWeek::create({.seed = 3, .listeners = 50, .days = 1});
  const auto once = read_all(**source).value();
  CHECK_TRUE((*source)->rewind().has_value());
  std::size_t at = 0;
  Request piece[13];
  while (const std::size_t got = (*source)->read(piece).value()) {
    for (std::size_t i = 0; i < got; ++i) UNSIGNED_LONGLONGS_EQUAL(once[at++].id, piece[i].id);
  }
  UNSIGNED_LONGLONGS_EQUAL(once.size(), at);
}

TEST(ListeningWeek, never_goes_back_in_time_and_stays_in_its_days) {
  CHECK_TRUE(std::ranges::is_sorted(week().requests, {}, &Request::time_seconds));
  CHECK_TRUE(week().requests.back().time_seconds < 7 * 86400);
  CHECK_TRUE(week().requests.back().time_seconds > 7 * 86400 - 3600);
}

TEST(ListeningWeek, skips_as_listeners_do) {
  const auto& counts = week().counts;
  DOUBLES_EQUAL(0.24, share(counts.ended_in_5s, counts.plays), 0.02);
  DOUBLES_EQUAL(0.35, share(counts.ended_in_30s, counts.plays), 0.02);
  DOUBLES_EQUAL(0.49, share(counts.ended_early, counts.plays), 0.02);
}

TEST(ListeningWeek, plays_albums_playlists_and_own_choices_in_their_shares) {
  const auto& counts = week().counts;
  const std::uint64_t others = counts.sessions - counts.sessions_by_context[3];
  DOUBLES_EQUAL(0.22, share(counts.sessions_by_context[0], others), 0.03);
  DOUBLES_EQUAL(0.31, share(counts.sessions_by_context[1], others), 0.03);
  DOUBLES_EQUAL(0.46, share(counts.sessions_by_context[2], others), 0.03);
}

TEST(ListeningWeek, has_sessions_of_the_length_expected) {
  const auto& counts = week().counts;
  // Lognormal of median 8 and sigma 0.8 cut off at 60: 10.8 on average.
  DOUBLES_EQUAL(10.8, share(counts.plays, counts.sessions), 0.6);
  DOUBLES_EQUAL(400 * 7 * kSessionsPerDay, static_cast<double>(counts.sessions), 300);
}

TEST(ListeningWeek, concentrates_plays_as_published) {
  std::uint64_t plays = 0;
  std::uint64_t top_10k = 0;
  std::uint64_t top_100k = 0;
  for_each_play([&](const Request& request) {
    const Track track = Catalogue::track_of(request.id);
    if (track >= kTracks) return;  // the release
    ++plays;
    top_10k += track < 10'000;
    top_100k += track < 100'000;
  });
  CHECK_TRUE(share(top_10k, plays) > 0.55 && share(top_10k, plays) < 0.68);
  CHECK_TRUE(share(top_100k, plays) > 0.84 && share(top_100k, plays) < 0.88);
}

TEST(ListeningWeek, is_quiet_at_night_and_busy_in_the_afternoon) {
  std::vector<std::uint64_t> by_hour(168);
  for (const Request& request : week().requests) ++by_hour[request.time_seconds / 3600];
  const auto weekday = [&](std::size_t hour) {
    return by_hour[hour] + by_hour[24 + hour] + by_hour[48 + hour];
  };
  CHECK_TRUE(share(weekday(4), weekday(17)) < 0.2);
  CHECK_TRUE(weekday(17) > weekday(10) && weekday(17) > weekday(22));
  CHECK_TRUE(by_hour[5 * 24 + 12] > by_hour[12]);  // Saturday's noon above Monday's
}

TEST(ListeningWeek, follows_the_published_curve) {
  // Trough between 3 and 5, peak at 17 on weekdays and near noon on Saturday (Park et al. 2019).
  const auto hour_of = [](int day, bool peak) {
    int best = 0;
    for (int hour = 0; hour < 24; ++hour) {
      const auto at = [&](int h) { return activity((day * 24 + h + 0.5) * 3600); };
      if (peak ? at(hour) > at(best) : at(hour) < at(best)) best = hour;
    }
    return best;
  };
  for (int day = 0; day < 4; ++day) {
    CHECK_TRUE(hour_of(day, false) >= 3 && hour_of(day, false) <= 5);
    CHECK_TRUE(hour_of(day, true) >= 16 && hour_of(day, true) <= 18);
  }
  CHECK_TRUE(hour_of(5, true) >= 11 && hour_of(5, true) <= 14);
  double least = 1;
  for (int hour = 0; hour < 168; ++hour) least = std::min(least, activity((hour + 0.5) * 3600));
  DOUBLES_EQUAL(kTroughOverPeak, least, 0.001);
}

TEST(ListeningWeek, has_segments_of_the_sizes_of_their_renditions) {
  std::array<double, 4> bytes{};
  std::array<std::uint64_t, 4> segments{};
  for (const Request& request : week().requests) {
    const unsigned rendition = Catalogue::rendition_of(request.id);
    bytes[rendition] += request.size_bytes;
    ++segments[rendition];
  }
  for (unsigned rendition = 0; rendition < 4; ++rendition) {
    const double mean = bytes[rendition] / static_cast<double>(segments[rendition]);
    DOUBLES_EQUAL(kRenditions[rendition].segment_bytes, mean,
                  0.05 * kRenditions[rendition].segment_bytes);
  }
}

TEST(ListeningWeek, keeps_the_size_of_an_object) {
  std::map<std::uint64_t, std::uint32_t> sizes;
  for (const Request& request : week().requests) {
    const auto [place, first] = sizes.try_emplace(request.id, request.size_bytes);
    UNSIGNED_LONGS_EQUAL(place->second, request.size_bytes);
  }
}

TEST(ListeningWeek, drops_the_release_on_friday) {
  std::uint64_t before = 0;
  std::uint64_t first_hour = 0;
  std::uint64_t after = 0;
  for_each_play([&](const Request& request) {
    if (Catalogue::track_of(request.id) < kTracks) return;
    const double day = request.time_seconds / 86400.0;
    before += day < kReleaseDay;
    first_hour += day >= kReleaseDay && day < kReleaseDay + 1.0 / 24;
    after += day >= kReleaseDay + 1.0 / 24;
  });
  UNSIGNED_LONGLONGS_EQUAL(0, before);
  CHECK_TRUE(first_hour > 30);  // 16 of 400 listeners, several tracks each
  CHECK_TRUE(after > first_hour);
}

TEST(ListeningWeek, refuses_what_it_cannot_make) {
  CHECK_FALSE(ListeningWeek::create({.listeners = 0}).has_value());
  CHECK_FALSE(ListeningWeek::create({.listeners = ListeningWeek::kMostListeners + 1}).has_value());
  CHECK_FALSE(ListeningWeek::create({.days = 0}).has_value());
  CHECK_FALSE(ListeningWeek::create({.days = 1000}).has_value());
}
