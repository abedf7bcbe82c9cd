#include "dataplane/control/connections.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <condition_variable>
#include <format>
#include <iterator>
#include <mutex>
#include <utility>

namespace nearfield::control {
namespace {

namespace json = boost::json;

// Outlives the question when a worker answers late.
struct Answers {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t count = 0;
  ConnectionList list;
};

}  // namespace

Result<ConnectionQuestion> parse_connection_question(std::string_view query) {
  ConnectionQuestion question;
  bool has_limit = false;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view part = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const std::size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    if (name == "limit" && !has_limit) {
      has_limit = true;
      const auto [stop, code] =
          std::from_chars(value.data(), value.data() + value.size(), question.limit);
      if (value.empty() || code != std::errc() || stop != value.data() + value.size() ||
          question.limit < 1 || question.limit > ConnectionQuestion::kMaximum) {
        return failure(std::format("limit is '{}': use 1 to {}", value,
                                   std::size_t{ConnectionQuestion::kMaximum}));
      }
    } else if (name == "peer" && !question.peer) {
      const auto peer = net::Endpoint::parse(value);
      if (!peer) return failure("peer: " + peer.error().message);
      question.peer = *peer;
    } else {
      return failure(
          std::format("'{}' is not understood here: use limit and peer, once each", part));
    }
  }
  return question;
}

ConnectionList ask_connections(std::span<const std::unique_ptr<WorkerThread>> workers,
                               const ConnectionQuestion& question) {
  const auto answers = std::make_shared<Answers>();
  for (const auto& worker : workers) {
    worker->ask_connections(question.limit, question.peer,
                            [answers](std::optional<std::vector<ConnectionReport>> reports) {
                              const std::lock_guard lock(answers->mutex);
                              ++answers->count;
                              if (!reports) {
                                answers->list.is_available = false;
                              } else {
                                std::ranges::move(*reports,
                                                  std::back_inserter(answers->list.connections));
                              }
                              answers->changed.notify_one();
                            });
  }
  std::unique_lock lock(answers->mutex);
  answers->changed.wait_for(lock, kConnectionPatience,
                            [&] { return answers->count == workers.size(); });
  ConnectionList list = std::move(answers->list);
  answers->list = {};
  list.silent_workers = static_cast<std::uint32_t>(workers.size() - answers->count);
  if (list.connections.size() > question.limit) list.connections.resize(question.limit);
  return list;
}

std::string connections_json(const ConnectionList& list) {
  json::array connections;
  for (const ConnectionReport& one : list.connections) {
    json::object shown{{"peer", one.peer.text()}, {"local", one.local.text()}};
    for (const auto& word : one.words) shown.emplace(word.name, word.value);
    for (const auto& number : one.numbers) shown.emplace(number.name, number.value);
    connections.push_back(std::move(shown));
  }
  return json::serialize(json::object{{"schema", 1},
                                      {"silent_workers", list.silent_workers},
                                      {"connections", std::move(connections)}});
}

}  // namespace nearfield::control
