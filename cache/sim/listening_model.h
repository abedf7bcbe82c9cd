// The numbers behind the generated week of listening, and who said so: [s] read in a source, [a]
// assumed. Change them here; tests/unit/cache/sim/listening_week_test.cc holds the trace to them.
#pragma once

#include <array>
#include <cstdint>

namespace nearfield::cache::sim::listening {

// Catalogue [s: Luminate, year-end report 2024, 202 million tracks with 87 % below 1,000 plays a
// year]. Popularity is Zipf-Mandelbrot, (rank + q)^-s, s 1.40 to 1.48 and q 650 to 2300 fitted to
// published concentration: the first 10,000 tracks have 55 to 68 % of plays, the first 100,000 84
// to 88 %. The values here lie inside those ranges such that albums and playlists, which spread
// plays over neighbouring ranks, leave the whole inside them too.
inline constexpr std::uint64_t kTracks = 202'000'000;
inline constexpr double kPopularityExponent = 1.45;
inline constexpr double kPopularityOffset = 1000;

// What a session plays [s]: an album, a playlist, or the listener's own choice of single tracks.
inline constexpr double kAlbumShare = 0.22;
inline constexpr double kPlaylistShare = 0.31;
inline constexpr std::uint64_t kPlaylists = 3000;      // [a]
inline constexpr double kPlaylistExponent = 1.1;       // [a]
inline constexpr double kPlaylistOffset = 5;           // [a]
inline constexpr std::uint64_t kPlaylistTracks = 60;   // [a]
inline constexpr double kPlaylistFromTop = 0.6;        // [a] else from anywhere in it
inline constexpr std::uint64_t kLeastAlbumTracks = 8;  // [a]
inline constexpr std::uint64_t kMostAlbumTracks = 14;  // [a]

// Sessions [a]: tracks lognormal, cut off; listeners differ lognormally in how often they listen.
inline constexpr double kSessionsPerDay = 1.5;
inline constexpr double kListenerActivitySigma = 1.0;
inline constexpr double kSessionTracksMedian = 8;
inline constexpr double kSessionTracksSigma = 0.8;
inline constexpr std::uint64_t kMostSessionTracks = 60;

// Of a listener's own choices, how many come from the last tracks he heard [a].
inline constexpr double kRepeatShare = 0.6;
inline constexpr std::size_t kRepeatTracks = 400;

// Skips [s: Lamere, "The Skip", 2014]: 24 % of plays end within 5 s, 35 % within 30 s, 49 % before
// the end; 51 % on mobile, 40 % on desktop. The share of mobile listeners follows from the three.
inline constexpr double kSkipIn5s = 0.24;
inline constexpr double kSkipIn30s = 0.35;
inline constexpr double kSkipAtAll = 0.49;
inline constexpr double kSkipMobile = 0.51;
inline constexpr double kSkipDesktop = 0.40;
inline constexpr double kMobileShare = (kSkipAtAll - kSkipDesktop) / (kSkipMobile - kSkipDesktop);

// Tracks and segments [a]: length lognormal, bytes a segment by rendition with a spread by track
// and a little by segment.
inline constexpr double kTrackSecondsMedian = 200;
inline constexpr double kTrackSecondsSigma = 0.3;
inline constexpr double kLeastTrackSeconds = 45;
inline constexpr double kMostTrackSeconds = 720;
inline constexpr double kSegmentSeconds = 6;
inline constexpr double kTrackSizeSpread = 0.15;
inline constexpr double kSegmentSizeSpread = 0.05;
struct Rendition {
  double share;          // of listeners
  double segment_bytes;  // mean
};
inline constexpr std::array<Rendition, 4> kRenditions = {{
    {0.15, 0.19e6},  // lossy
    {0.55, 0.68e6},  // lossless, CD
    {0.10, 2.1e6},   // lossless, hi-res
    {0.20, 0.58e6},  // spatial
}};

// A player fetches this many segments at once when a track begins, then one as each is played [a].
inline constexpr std::uint64_t kSegmentsAhead = 3;
inline constexpr double kSecondsBetweenFirst = 0.2;

// One large release, an album, at the beginning of day 4 (Friday) [a]: 6 % of sessions on its first
// day, fading with 4 days; 4 % of listeners come for it within the first hour.
inline constexpr double kReleaseDay = 4;
inline constexpr double kReleaseShare = 0.06;
inline constexpr double kReleaseFadeDays = 4;
inline constexpr double kReleaseFirstHour = 0.04;
inline constexpr std::uint64_t kReleaseTracks = 12;

// Activity over the hours of the week, Monday 00:00 first: the strongest 14 of the 84 harmonics of
// the play frequency by hour and weekday of 765 million plays [s: Park, Thom, Mennicken, Cramer,
// Macy, Nature Human Behaviour 3, 2019, "hour_dow_activity"], min-max scaled there; the fit's error
// is 0.026 rms, 0.071 at most. Trough over peak is 0.06 [a].
inline constexpr double kTroughOverPeak = 0.06;
inline constexpr double kActivityMean = 0.527;
struct Harmonic {
  int per_week;
  double cosine;
  double sine;
};
inline constexpr std::array<Harmonic, 14> kActivity = {{{1, -0.019, -0.034},
                                                        {2, -0.024, 0.000},
                                                        {6, 0.015, -0.006},
                                                        {7, -0.239, -0.344},
                                                        {12, -0.014, 0.019},
                                                        {13, 0.009, 0.038},
                                                        {14, 0.025, -0.101},
                                                        {15, 0.022, -0.021},
                                                        {16, -0.002, -0.014},
                                                        {19, 0.000, -0.013},
                                                        {20, -0.015, -0.010},
                                                        {21, 0.004, 0.020},
                                                        {35, -0.011, 0.007},
                                                        {42, -0.003, -0.013}}};

// Activity at a time of the week, kTroughOverPeak to 1.
double activity(double seconds_since_monday);

}  // namespace nearfield::cache::sim::listening
