// Counters come from the one list in proxy/counters.h. Where it counts kinds of one thing
// (responses_2xx, responses_3xx), they become one family with a label, as Prometheus users expect
// to sum and to divide them.
#include "dataplane/control/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

namespace nearfield::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void counter(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.counter.value = value;
    add(name + "_total", help, MetricType::Counter, std::move(metric), std::move(labels));
  }
  void gauge(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.gauge.value = value;
    add(name, help, MetricType::Gauge, std::move(metric), std::move(labels));
  }
  void histogram(const std::string& name, const std::string& help,
                 ClientMetric::Histogram histogram, Labels labels) {
    ClientMetric metric;
    metric.histogram = std::move(histogram);
    add(name, help, MetricType::Histogram, std::move(metric), std::move(labels));
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  void add(const std::string& name, const std::string& help, MetricType type, ClientMetric metric,
           Labels labels) {
    metric.label = std::move(labels);
    for (MetricFamily& family : families_) {
      if (family.name == name) {
        family.metric.push_back(std::move(metric));
        return;
      }
    }
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    family.metric.push_back(std::move(metric));
    families_.push_back(std::move(family));
  }

  std::vector<MetricFamily> families_;
};

// Counter names that become a label of a family.
struct Split {
  std::string_view prefix;
  std::string_view family;
  std::string_view label;
  std::string_view help;
};
constexpr std::array kSplits = {
    Split{"responses_broken", "", "", ""},  // not a class of status
    Split{"responses_", "responses", "class", "Responses by class of status"},
    Split{"connections_refused_", "connections_refused", "limit",
          "Connections reset because a limit was reached"},
    Split{"limit_", "requests_refused", "limit", "Requests refused because a limit was reached"},
    Split{"tls_handshakes_refused_", "tls_handshakes_refused", "limit",
          "Connections reset because too many TLS handshakes were under way"},
    Split{"timeout_", "timeouts", "kind", "Time-outs of listeners' connections and requests"},
};

void add_counter(Families& families, std::string_view name, const char* help, std::uint64_t value) {
  for (const Split& split : kSplits) {
    if (!name.starts_with(split.prefix)) continue;
    if (split.family.empty()) break;
    families.counter("nearfield_" + std::string(split.family), std::string(split.help),
                     static_cast<double>(value),
                     {{std::string(split.label), std::string(name.substr(split.prefix.size()))}});
    return;
  }
  families.counter("nearfield_" + std::string(name), help, static_cast<double>(value));
}

void add_listener_side(Families& families, const NodeSnapshot& snapshot) {
#define NEARFIELD_METRIC(name, help) add_counter(families, #name, help, snapshot.totals.name);
  NEARFIELD_PROXY_COUNTERS(NEARFIELD_METRIC)
#undef NEARFIELD_METRIC
  families.gauge("nearfield_connections_open", "Listener connections open now",
                 static_cast<double>(snapshot.totals.connections_open));
  families.gauge("nearfield_fetches_open", "Fetches under way now",
                 static_cast<double>(snapshot.totals.fetches_open));
}

void add_store(Families& families, const cache::StoreStatistics& store) {
  const auto gauge = [&](const char* name, const char* help, auto value) {
    families.gauge(std::string("nearfield_cache_") + name, help, static_cast<double>(value));
  };
  const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
    families.counter(std::string("nearfield_cache_") + name, help, static_cast<double>(value));
  };
  gauge("ram_capacity_bytes", "Memory for content", store.arena_capacity_bytes);
  gauge("ram_used_bytes", "Memory that holds content, fetches under way included",
        store.arena_used_bytes);
  gauge("index_capacity_bytes", "Memory for names and metadata", store.index_capacity_bytes);
  gauge("index_used_bytes", "Memory used by names and metadata", store.index_used_bytes);
  gauge("objects", "Stored responses", store.objects);
  gauge("blobs", "Distinct bodies", store.blobs);
  gauge("stored_bytes", "Bytes of stored bodies", store.stored_bytes);
  gauge("shared_bytes", "Bytes saved because equal bodies are stored once", store.shared_bytes);
  gauge("pinned_bytes", "Bytes of bodies that are never evicted", store.pinned_bytes);
  gauge("metadata_bytes_per_object", "Index memory of one stored response, mean",
        store.metadata_bytes_per_object);
  counter("evictions", "Stored responses evicted to make room", store.evictions);
  counter("evicted_bytes", "Bytes of bodies evicted to make room", store.evicted_bytes);
  counter("purged", "Stored responses removed by a purge", store.purged);
  counter("refused_too_large", "Bodies not kept because they exceed their share",
          store.refused_too_large);
  counter("refused_no_room", "Bodies not kept because nothing could be evicted",
          store.refused_no_room);
}

void add_tls_helpers(Families& families, const tls::HandshakePoolCounts& pool) {
  const auto handshakes = [&](const char* kind, std::uint64_t number,
                              std::chrono::nanoseconds cpu) {
    families.counter("nearfield_tls_helper_handshakes",
                     "TLS handshakes that ended, those with origins included",
                     static_cast<double>(number), {{"kind", kind}});
    families.counter("nearfield_tls_helper_cpu_seconds", "CPU time of these handshakes",
                     std::chrono::duration<double>(cpu).count(), {{"kind", kind}});
  };
  std::uint64_t failed = 0;
  for (std::size_t kind = 1; kind < tls::kHandshakeFailures; ++kind) {
    failed += pool.failed[kind];
    families.counter(
        "nearfield_tls_helper_failures", "Of these, failed, by reason",
        static_cast<double>(pool.failed[kind]),
        {{"reason", std::string(tls::text(static_cast<tls::HandshakeFailure>(kind)))}});
  }
  handshakes("full", pool.finished_full, pool.cpu_full);
  handshakes("resumed", pool.finished_resumed, pool.cpu_resumed);
  handshakes("failed", failed, pool.cpu_failed);
  const auto refused = [&](const char* limit, std::uint64_t number) {
    families.counter("nearfield_tls_helper_refused", "Steps of handshakes the queue did not take",
                     static_cast<double>(number), {{"limit", limit}});
  };
  refused("queue", pool.refused_full);
  refused("prefix", pool.refused_prefix);
  families.gauge("nearfield_tls_helper_queue", "Steps of TLS handshakes that wait for a helper",
                 static_cast<double>(pool.queued));
}

void add_certificate(Families& families, const tls::CertificateExpiry& one, const char* shown_to) {
  std::string names;
  for (const std::string& name : one.names) names += (names.empty() ? "" : ",") + name;
  families.gauge(
      "nearfield_tls_certificate_expiry_timestamp_seconds",
      "When a certificate expires, seconds since the Unix epoch",
      static_cast<double>(one.not_after.time_since_epoch().count()),
      {{"file", one.file}, {"subject", one.subject}, {"names", names}, {"shown_to", shown_to}});
}

void add_tls(Families& families, const TlsSnapshot& tls) {
#define NEARFIELD_TLS_METRIC(name, help) add_counter(families, "tls_" #name, help, tls.totals.name);
  NEARFIELD_TLS_COUNTERS(NEARFIELD_TLS_METRIC)
#undef NEARFIELD_TLS_METRIC
  families.gauge("nearfield_tls_connections_open",
                 "TLS connections of listeners open now, handshakes included",
                 static_cast<double>(tls.totals.connections_open));
  families.gauge("nearfield_tls_handshakes_open", "TLS handshakes of listeners under way now",
                 static_cast<double>(tls.handshakes_open));
  families.gauge("nearfield_tls_ticket_keys", "Keys that open session tickets",
                 static_cast<double>(tls.ticket_keys));
  families.gauge("nearfield_tls_info", "Constant 1, labelled by what encrypts records", 1,
                 {{"engine", tls.engine}});
  for (const tls::CertificateExpiry& one : tls.certificates) {
    add_certificate(families, one, "listeners");
  }
  for (const tls::CertificateExpiry& one : tls.origin_certificates) {
    add_certificate(families, one, "origins");
  }
  add_tls_helpers(families, tls.pool);
}

void add_access(Families& families, const AccessSnapshot& access) {
  for (std::size_t reason = 0; reason < access::kReasons; ++reason) {
    families.counter("nearfield_access_decisions",
                     "Requests by why they may or may not be served; none without rules",
                     static_cast<double>(access.decisions[reason]),
                     {{"reason", std::string(reason_name(static_cast<access::Reason>(reason)))}});
  }
  const auto known = [&](const char* kind, std::uint64_t number) {
    families.counter("nearfield_access_known_tokens", "Tokens found among those judged before",
                     static_cast<double>(number), {{"kind", kind}});
  };
  known("good", access.known_good);
  known("bad", access.known_bad);
  const auto verified = [&](const char* kind, std::uint64_t number) {
    families.counter("nearfield_access_verifications", "Signatures and MACs of tokens computed",
                     static_cast<double>(number), {{"kind", kind}});
  };
  verified("signature", access.signatures_verified);
  verified("mac", access.macs_verified);
  families.counter("nearfield_access_renewals", "Tokens renewed",
                   static_cast<double>(access.renewals));
  families.gauge("nearfield_access_rules", "Rules of who may listen in force",
                 static_cast<double>(access.rules));
  families.gauge("nearfield_access_clock_trusted",
                 "0 while the clock is before the release's build date, or the kernel's word on it "
                 "is wanted and says not synchronised",
                 access.clock_trusted ? 1 : 0);
  families.gauge("nearfield_access_clock_behind_seconds",
                 "How much later than by the clock requests are judged, because it was set back",
                 static_cast<double>(access.clock_behind.count()));
}

ClientMetric::Histogram first_byte_histogram(const origin::OriginStatistics& statistics) {
  ClientMetric::Histogram result;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < statistics.first_byte_buckets.size(); ++i) {
    sum += statistics.first_byte_buckets[i].load(std::memory_order_relaxed);
    const bool last = i == origin::OriginStatistics::kFirstByteBounds.size();
    result.bucket.push_back({.cumulative_count = sum,
                             .upper_bound = last ? std::numeric_limits<double>::infinity()
                                                 : origin::OriginStatistics::kFirstByteBounds[i]});
  }
  // The sum of the buckets, not the separate count: one scrape must not contradict itself.
  result.sample_count = sum;
  result.sample_sum =
      static_cast<double>(statistics.first_byte_microseconds.load(std::memory_order_relaxed)) / 1e6;
  return result;
}

void add_origin(Families& families, const std::string& group, const origin::Origin& one) {
  const Labels labels = {{"group", group}, {"server", one.server.name()}};
  const origin::OriginStatistics& statistics = *one.statistics;
  const auto counter = [&](const char* name, const char* help,
                           const origin::OriginStatistics::Counter& value) {
    families.counter(std::string("nearfield_origin_") + name, help,
                     static_cast<double>(value.load(std::memory_order_relaxed)), labels);
  };
  const auto gauge = [&](const char* name, const char* help, std::int64_t value) {
    families.gauge(std::string("nearfield_origin_") + name, help, static_cast<double>(value),
                   labels);
  };
  counter("requests", "Requests sent to the server, repeats included", statistics.requests);
  counter("responses", "Response heads received", statistics.responses);
  counter("completed", "Responses received whole", statistics.completed);
  counter("retries", "Attempts after a failed one", statistics.retries);
  counter("stale_connections", "Kept connections that had died unnoticed",
          statistics.stale_connections);
  counter("cancelled", "Calls given up with the response under way", statistics.cancelled);
  counter("request_bytes", "Bytes of requests sent", statistics.request_bytes);
  counter("response_bytes", "Bytes of bodies received", statistics.response_bytes);
  counter("unexpected_bytes", "Connections closed because the server sent more than asked for",
          statistics.unexpected_bytes);
  counter("connections_opened", "Connections opened", statistics.connections_opened);
  counter("connections_reused", "Calls that found a kept connection",
          statistics.connections_reused);
  counter("resolve_failures", "Failed look-ups of the server's name", statistics.resolve_failures);
  counter("handshakes_failed", "TLS handshakes with the server that failed",
          statistics.handshakes_failed);
  for (std::size_t kind = 0; kind < origin::kFailureKinds; ++kind) {
    Labels with_kind = labels;
    with_kind.push_back(
        {"kind", origin::failure_kind_text(static_cast<origin::OriginFailureKind>(kind))});
    families.counter("nearfield_origin_failures", "Attempts that failed, by kind",
                     static_cast<double>(statistics.failures[kind].load(std::memory_order_relaxed)),
                     std::move(with_kind));
  }
  gauge("connections_open", "Connections open now",
        statistics.connections_open.load(std::memory_order_relaxed));
  gauge("connections_idle", "Of these, without a call",
        statistics.connections_idle.load(std::memory_order_relaxed));
  gauge("calls_waiting", "Calls waiting for a connection",
        statistics.calls_waiting.load(std::memory_order_relaxed));
  gauge("healthy", "1 when calls go to the server, 0 when it is put aside",
        one.health->state() == origin::HealthState::healthy ? 1 : 0);
  families.histogram("nearfield_origin_first_byte_seconds",
                     "From the request written to the response head read",
                     first_byte_histogram(statistics), labels);
}

void add_process(Families& families, const NodeSnapshot& snapshot, const ProcessInfo& process) {
  families.gauge("nearfield_build_info", "Constant 1, labelled by version", 1,
                 {{"version", snapshot.version}, {"transport", snapshot.transport}});
  families.gauge("nearfield_info", "Constant 1, labelled by what the node is", 1,
                 {{"node", snapshot.node_name},
                  {"policy", snapshot.policy},
                  {"pages", std::string(page_kind_text(snapshot.store.page_kind))}});
  families.gauge("nearfield_draining", "1 while the node finishes and takes no listeners",
                 snapshot.state == NodeState::draining ? 1 : 0);
  families.gauge("nearfield_workers", "Worker threads", snapshot.workers);
  families.counter("nearfield_reloads", "Configurations taken over while running",
                   static_cast<double>(snapshot.reloads));
  families.counter("nearfield_reloads_refused", "Configurations refused while running",
                   static_cast<double>(snapshot.reloads_refused));
  families.counter("nearfield_access_log_lines", "Access log lines written",
                   static_cast<double>(snapshot.access_log.written));
  families.counter("nearfield_access_log_dropped",
                   "Access records dropped because a buffer was full",
                   static_cast<double>(snapshot.access_log.dropped));
  families.counter("nearfield_access_log_failed", "Access log lines that could not be written",
                   static_cast<double>(snapshot.access_log.failed));
  families.counter("process_cpu_seconds", "User and system CPU time", process.cpu_seconds);
  families.gauge("process_resident_memory_bytes", "Resident memory", process.resident_bytes);
  families.gauge("process_virtual_memory_bytes", "Virtual memory", process.virtual_bytes);
  families.gauge("process_threads", "Threads", process.threads);
  families.gauge("process_open_fds", "Open file descriptors", process.open_descriptors);
  families.gauge("process_max_fds", "Most file descriptors allowed", process.maximum_descriptors);
  families.gauge("process_start_time_seconds", "Start, seconds since the Unix epoch",
                 std::chrono::duration<double>(snapshot.started_ms).count());
}

}  // namespace

std::string metrics_text(const NodeSnapshot& snapshot, const ProcessInfo& process) {
  Families families;
  add_process(families, snapshot, process);
  add_listener_side(families, snapshot);
  add_tls(families, snapshot.tls);
  add_access(families, snapshot.access);
  add_store(families, snapshot.store);
  for (const auto& group : snapshot.origins->groups()) {
    for (const origin::Origin& one : group->origins) {
      add_origin(families, group->config.name, one);
    }
  }
  for (const TransportValue& value : snapshot.transport_values) {
    const std::string name = "nearfield_transport_" + value.name;
    if (value.is_gauge) {
      families.gauge(name, value.help, static_cast<double>(value.value));
    } else {
      families.counter(name, value.help, static_cast<double>(value.value));
    }
  }
  return families.text();
}

}  // namespace nearfield::control
