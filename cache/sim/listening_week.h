// ListeningWeek: a seeded, streamed trace of a week of music listening at one node
// (listening_model.h has the numbers).
//
// Listeners start sessions along the activity curve, sessions play albums, playlists, a new release
// or single tracks, tracks are skipped or played out, and a playing track asks for its segments as
// a player does. Nothing is stored but the listeners: memory does not grow with the length of the
// trace. The same options give the same requests.
//
// The awkward part: requests of different listeners interleave, so each playing listener waits in a
// heap for its next request.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cache/sim/catalogue.h"
#include "cache/sim/listening_model.h"
#include "cache/sim/random.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

struct ListeningOptions {
  std::uint64_t seed = 1;
  std::uint32_t listeners =
      5000;         // 1 to kMostListeners; 5,000 ask for about 12 million segments in a week
  double days = 7;  // above 0, at most kMostDays; the release of day 4 needs more than 4
};

class ListeningWeek final : public TraceSource {
 public:
  static constexpr std::uint32_t kMostListeners = 10'000'000;
  static constexpr double kMostDays = 366;

  static Result<std::unique_ptr<ListeningWeek>> create(const ListeningOptions& options);

  Result<std::size_t> read(std::span<Request> into) override;
  Result<void> rewind() override;

  // What was played so far, for those who check the model.
  struct Counts {
    std::uint64_t sessions = 0;
    std::array<std::uint64_t, 4> sessions_by_context{};  // album, playlist, own, release
    std::uint64_t plays = 0;
    std::uint64_t ended_in_5s = 0;
    std::uint64_t ended_in_30s = 0;
    std::uint64_t ended_early = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  enum Context : std::uint8_t { kAlbum, kPlaylist, kOwn, kRelease };

  struct Listener {
    // Who it is.
    std::uint8_t rendition = 0;
    bool mobile = false;
    // The session: what it plays, where it is in it, how many tracks are left (0: none).
    Context context = kOwn;
    std::uint32_t tracks_left = 0;
    std::uint64_t collection = 0;  // the album's lead or the playlist
    std::uint64_t position = 0;
    // The track playing.
    Track track = 0;
    double began = 0;
    double ends = 0;  // when the listener leaves it
    double track_seconds = 0;
    double segment_bytes = 0;
    std::uint32_t segments = 0;
    std::uint32_t next_segment = 0;
    std::uint32_t heard = 0;  // tracks heard in all: the write position of the history
  };
  struct Waiting {
    double at;
    std::uint32_t listener;
    bool operator>(const Waiting& other) const {
      return at != other.at ? at > other.at : listener > other.listener;
    }
  };

  explicit ListeningWeek(const ListeningOptions& options);
  void start_again();
  void plan_session();
  void plan_release_session();
  void begin_session(double at, bool release_only);
  void begin_track(std::uint32_t index, double at);
  Track choose_track(std::uint32_t index);
  Track own_track(std::uint32_t index);
  void remember(std::uint32_t index, Track track);
  double played_seconds(const Listener& listener);
  Request request(std::uint32_t index);
  void wait_for_next(std::uint32_t index);
  std::uint32_t someone_idle();

  ListeningOptions options_;
  Catalogue catalogue_;
  Random random_;
  double end_;
  double sessions_per_second_at_peak_ = 0;
  std::vector<double> activity_until_;  // running sum over the listeners
  std::vector<Listener> listeners_;
  std::vector<std::uint32_t> history_;  // kRepeatTracks a listener
  std::vector<Waiting> waiting_;        // a heap, earliest first
  double next_session_ = 0;
  double next_release_session_ = 0;
  Counts counts_;
};

}  // namespace nearfield::cache::sim
