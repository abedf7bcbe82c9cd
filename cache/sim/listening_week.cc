// See listening_week.h.
#include "cache/sim/listening_week.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace nearfield::cache::sim {

using namespace listening;

namespace {

constexpr double kDay = 86400;
constexpr double kHour = 3600;
constexpr double kNeverAgain = std::numeric_limits<double>::infinity();

double mean_activity() {
  double sum = 0;
  for (int hour = 0; hour < 168; ++hour) sum += activity((hour + 0.5) * kHour);
  return sum / 168;
}

}  // namespace

Result<std::unique_ptr<ListeningWeek>> ListeningWeek::create(const ListeningOptions& options) {
  if (options.listeners < 1 || options.listeners > kMostListeners) {
    return failure("a week of " + std::to_string(options.listeners) +
                   " listeners cannot be made; use 1 to " + std::to_string(kMostListeners));
  }
  if (!(options.days > 0 && options.days <= kMostDays)) {
    return failure("a trace of " + std::to_string(options.days) +
                   " days cannot be made; use more than 0, at most " +
                   std::to_string(static_cast<int>(kMostDays)));
  }
  return std::unique_ptr<ListeningWeek>(new ListeningWeek(options));
}

ListeningWeek::ListeningWeek(const ListeningOptions& options)
    : options_(options),
      catalogue_(options.seed),
      random_(options.seed),
      end_(options.days * kDay) {
  sessions_per_second_at_peak_ = options_.listeners * kSessionsPerDay / kDay / mean_activity();
  start_again();
}

Result<void> ListeningWeek::rewind() {
  start_again();
  return {};
}

void ListeningWeek::start_again() {
  random_ = Random(options_.seed);
  counts_ = {};
  waiting_.clear();
  listeners_.assign(options_.listeners, {});
  activity_until_.resize(options_.listeners);
  history_.resize(options_.listeners * kRepeatTracks);
  double sum = 0;
  for (std::uint32_t index = 0; index < options_.listeners; ++index) {
    Listener& listener = listeners_[index];
    double share = random_.uniform();
    while (listener.rendition + 1u < kRenditions.size() &&
           share >= kRenditions[listener.rendition].share) {
      share -= kRenditions[listener.rendition++].share;
    }
    listener.mobile = random_.chance(kMobileShare);
    sum += random_.lognormal(1, kListenerActivitySigma);
    activity_until_[index] = sum;
    // The trace begins in the middle of everybody's life.
    for (std::size_t i = 0; i < kRepeatTracks; ++i)
      remember(index, catalogue_.popular(random_.uniform()));
  }
  next_session_ = 0;
  next_release_session_ = kReleaseDay * kDay;
  plan_session();
  plan_release_session();
}

// Sessions are a Poisson process along the activity curve, by thinning.
void ListeningWeek::plan_session() {
  do {
    next_session_ += random_.exponential(1 / sessions_per_second_at_peak_);
  } while (next_session_ < end_ && !random_.chance(activity(next_session_)));
  if (next_session_ >= end_) next_session_ = kNeverAgain;
}

void ListeningWeek::plan_release_session() {
  next_release_session_ += random_.exponential(kHour / (kReleaseFirstHour * options_.listeners));
  if (next_release_session_ >= std::min(end_, kReleaseDay * kDay + kHour)) {
    next_release_session_ = kNeverAgain;
  }
}

Result<std::size_t> ListeningWeek::read(std::span<Request> into) {
  std::size_t count = 0;
  while (count < into.size()) {
    const double session = std::min(next_session_, next_release_session_);
    const double segment = waiting_.empty() ? kNeverAgain : waiting_.front().at;
    if (std::min(session, segment) >= end_) break;
    if (session <= segment) {
      const bool release_only = next_release_session_ < next_session_;
      begin_session(session, release_only);
      release_only ? plan_release_session() : plan_session();
      continue;
    }
    std::ranges::pop_heap(waiting_, std::greater<>());
    const std::uint32_t index = waiting_.back().listener;
    waiting_.pop_back();
    into[count] = request(index);
    into[count++].time_seconds = static_cast<std::uint32_t>(segment);
    wait_for_next(index);
  }
  return count;
}

// A listener by weight of activity; nobody (the number of listeners) when those asked are all
// listening already.
std::uint32_t ListeningWeek::someone_idle() {
  constexpr int kMostAsked = 8;
  for (int asked = 0; asked < kMostAsked; ++asked) {
    const double at = random_.uniform() * activity_until_.back();
    const auto found = std::ranges::upper_bound(activity_until_, at);
    const auto index = std::min<std::size_t>(
        static_cast<std::size_t>(found - activity_until_.begin()), listeners_.size() - 1);
    if (listeners_[index].tracks_left == 0) return static_cast<std::uint32_t>(index);
  }
  return options_.listeners;
}

void ListeningWeek::begin_session(double at, bool release_only) {
  const std::uint32_t index = someone_idle();
  if (index == options_.listeners) return;
  Listener& listener = listeners_[index];
  const double tracks = random_.lognormal(kSessionTracksMedian, kSessionTracksSigma);
  listener.tracks_left = static_cast<std::uint32_t>(
      std::clamp(std::round(tracks), 1.0, static_cast<double>(kMostSessionTracks)));
  const double release_age_days = at / kDay - kReleaseDay;
  const double release_share =
      release_age_days < 0 ? 0 : kReleaseShare * std::exp(-release_age_days / kReleaseFadeDays);
  const double context = random_.uniform();
  listener.position = 0;
  if (release_only || random_.chance(release_share)) {
    listener.context = kRelease;
  } else if (context < kAlbumShare) {
    listener.context = kAlbum;
    listener.collection = own_track(index);
  } else if (context < kAlbumShare + kPlaylistShare) {
    listener.context = kPlaylist;
    listener.collection = catalogue_.playlist(random_.uniform());
    if (!random_.chance(kPlaylistFromTop)) listener.position = random_.below(kPlaylistTracks);
  } else {
    listener.context = kOwn;
  }
  ++counts_.sessions;
  ++counts_.sessions_by_context[listener.context];
  begin_track(index, at);
}

void ListeningWeek::begin_track(std::uint32_t index, double at) {
  Listener& listener = listeners_[index];
  listener.track = choose_track(index);
  remember(index, listener.track);
  listener.track_seconds = catalogue_.track_seconds(listener.track);
  listener.segments = Catalogue::segments(listener.track_seconds);
  listener.segment_bytes = catalogue_.segment_bytes(listener.track, listener.rendition);
  listener.next_segment = 0;
  listener.began = at;
  const double played = played_seconds(listener);
  listener.ends = at + played;
  ++counts_.plays;
  counts_.ended_in_5s += played < 5;
  counts_.ended_in_30s += played < 30;
  counts_.ended_early += played < listener.track_seconds;
  waiting_.push_back({at, index});
  std::ranges::push_heap(waiting_, std::greater<>());
}

Track ListeningWeek::choose_track(std::uint32_t index) {
  Listener& listener = listeners_[index];
  switch (listener.context) {
    case kAlbum:
      if (listener.position == catalogue_.album_tracks(listener.collection)) {
        listener.collection = own_track(index);
        listener.position = 0;
      }
      return catalogue_.album_track(listener.collection, listener.position++);
    case kPlaylist:
      return catalogue_.playlist_track(listener.collection, listener.position++ % kPlaylistTracks);
    case kRelease:
      return catalogue_.release_track(listener.position++ % kReleaseTracks);
    case kOwn:
      break;
  }
  return own_track(index);
}

Track ListeningWeek::own_track(std::uint32_t index) {
  if (random_.chance(kRepeatShare))
    return history_[index * kRepeatTracks + random_.below(kRepeatTracks)];
  return catalogue_.popular(random_.uniform());
}

void ListeningWeek::remember(std::uint32_t index, Track track) {
  history_[index * kRepeatTracks + listeners_[index].heard++ % kRepeatTracks] =
      static_cast<std::uint32_t>(track);
}

double ListeningWeek::played_seconds(const Listener& listener) {
  const double scale = (listener.mobile ? kSkipMobile : kSkipDesktop) / kSkipAtAll;
  const double skip = random_.uniform() / scale;
  const double when = random_.uniform();
  if (skip < kSkipIn5s) return 5 * when;
  if (skip < kSkipIn30s) return 5 + 25 * when;
  if (skip < kSkipAtAll) return 30 + (listener.track_seconds - 30) * when;
  return listener.track_seconds;
}

Request ListeningWeek::request(std::uint32_t index) {
  Listener& listener = listeners_[index];
  const std::uint32_t segment = listener.next_segment++;
  const std::uint64_t object = Catalogue::object(listener.track, listener.rendition, segment);
  // The last segment is as long as what is left of the track.
  const double part = std::min(1.0, listener.track_seconds / kSegmentSeconds - segment);
  const double jitter = 1 + kSegmentSizeSpread * (2 * unit_interval(mix64(object)) - 1);
  const double bytes = std::max(1.0, listener.segment_bytes * part * jitter);
  return {object, static_cast<std::uint32_t>(bytes), 0};
}

// Puts the listener back in the heap for the next segment, the next track, or not at all.
void ListeningWeek::wait_for_next(std::uint32_t index) {
  Listener& listener = listeners_[index];
  const std::uint32_t next = listener.next_segment;
  const double after = next < kSegmentsAhead ? next * kSecondsBetweenFirst
                                             : (next - kSegmentsAhead + 1) * kSegmentSeconds;
  if (next < listener.segments && listener.began + after <= listener.ends) {
    waiting_.push_back({listener.began + after, index});
    std::ranges::push_heap(waiting_, std::greater<>());
    return;
  }
  if (--listener.tracks_left > 0) begin_track(index, listener.ends);
}

}  // namespace nearfield::cache::sim
