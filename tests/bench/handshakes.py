#!/usr/bin/env python3
"""`./dev bench handshakes`: TLS handshakes per CPU second of the server, full and resumed, and the memory of an idle TLS connection, beside nginx and
HAProxy with OpenSSL.

One client makes connections one after the other: TLS 1.3, X25519, a P-256 certificate, one tiny request, the end. Accepting, the request and the end
are in the figures, the same for all. Resumption is with a ticket of the connection before (psk_dhe_ke). Rounds are interleaved; a ratio is the median
over rounds of the ratio to nginx in the same round."""

import contextlib
import socket
import ssl
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import http  # noqa: E402
import https  # noqa: E402

# Servers give memory back when a connection has had nothing to do for a while.
IDLE_AFTER_S = 17
REQUEST = b"GET /tiny HTTP/1.1\r\nHost: localhost\r\n\r\n"
# RFC 9113: preface, empty SETTINGS, and on stream 1 the same request (HPACK: static entries, literals without indexing).
H2_REQUEST = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
              + b"\0\0\x14\x01\x05\0\0\0\x01" + b"\x82\x87\x04\x05/tiny\x01\x09localhost")
H2_SETTINGS_ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"


def client(protocol="http/1.1"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what a client checks costs the server nothing
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("X25519")
    context.set_alpn_protocols([protocol])
    return context


def connect(context, server, session=None):
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost", session=session)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise SystemExit("a server ended a connection before its answer")
        data += more
    return data


def ask(connection):
    """The tiny request, HTTP/1.1 or 2 as the handshake chose."""
    if connection.selected_alpn_protocol() != "h2":
        connection.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += read_exactly(connection, 1)
        assert head.startswith(b"HTTP/1.1 200"), head
        read_exactly(connection, len(b"tiny"))
        return
    connection.sendall(H2_REQUEST)
    done = False
    while not done:
        head = read_exactly(connection, 9)
        payload = read_exactly(connection, int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        if kind == 4 and not flags & 1:
            connection.sendall(H2_SETTINGS_ACKNOWLEDGED)
        assert kind not in (3, 7), (kind, payload)  # RST_STREAM, GOAWAY
        done = stream == 1 and bool(flags & 1)


def handshakes(server, count, resume):
    """CPU seconds of the server for `count` of them."""
    context = client()
    session = None
    if resume:
        with connect(context, server) as first:
            ask(first)
            session = first.session
    before = server.cpu_seconds()
    for _ in range(count):
        with connect(context, server, session) as connection:
            ask(connection)
            if connection.session_reused != resume:
                raise SystemExit(f"{server.name}: a session was {'not ' if resume else ''}resumed")
            session = connection.session if resume else None
    return server.cpu_seconds() - before


def measure_handshakes(running, rounds, count):
    rows = []
    for kind in ("full", "resumed"):
        costs = {server.name: [] for server in running}
        for number in range(rounds):
            turn = number % len(running)
            for server in running[turn:] + running[:turn]:
                costs[server.name].append(handshakes(server, count, kind == "resumed") / count)
        for server in running:
            own = costs[server.name]
            cost = http.compared(own, costs[https.BASE])
            rows.append({"server": server.name, "handshake": kind, "a_round": count, "cpu_microseconds": cost["median"] * 1e6,
                         "cpu_microseconds_spread": http.spread(own) * 1e6, "per_cpu_second": 1 / statistics.median(own),
                         "cpu_ratio_to_nginx_proxy_cache": cost["ratio"], "cpu_ratio_spread": cost["ratio_spread"]})
            print(f"{kind:>8} handshake {server.name:<18} {cost['median'] * 1e6:7.0f} us, {1 / cost['median']:6.0f} a CPU second, "
                  f"x{cost['ratio']:.2f} (spread {cost['ratio_spread']:.2f}) of nginx", flush=True)
    return rows


def idle_bytes(server, protocol, count):
    """Bytes of memory an idle connection costs the server, some time after its handshake and one request."""
    context = client(protocol)
    open_connections = []

    def open_some(number):
        for _ in range(number):
            connection = connect(context, server)
            assert connection.selected_alpn_protocol() == protocol, connection.selected_alpn_protocol()
            ask(connection)
            open_connections.append(connection)

    # Buffers and slabs that exist anyway, however few connections there are.
    for _ in range(400):
        with connect(context, server) as connection:
            ask(connection)
    open_some(200)
    time.sleep(IDLE_AFTER_S)
    before = server.resident_bytes()
    open_some(count)
    time.sleep(IDLE_AFTER_S)
    after = server.resident_bytes()
    for connection in open_connections:
        connection.close()
    return (after - before) / count


def main():
    parser = https.parser_of(__doc__, "handshakes")
    parser.add_argument("--handshakes", type=int, default=200, help="of each kind, server and round (default 200)")
    parser.add_argument("--idle", type=int, default=2000, help="connections to take the memory of one from; 0: not (default 2000)")
    arguments = parser.parse_args()
    result = https.begin("handshakes", arguments.build)
    result["versions"]["client"] = ssl.OPENSSL_VERSION
    result["idle_connection_bytes"] = {}
    for protocol in https.PROTOCOLS if arguments.idle else ():
        # Servers that are new: what earlier connections leave behind would hide what these take.
        with contextlib.closing(https.Field(arguments.build)) as field:
            for server in field.servers:
                taken = idle_bytes(server, protocol, arguments.idle)
                result["idle_connection_bytes"].setdefault(server.name, {})[protocol] = taken
                print(f"idle {protocol:>8} connection {server.name:<18} {taken:7.0f} bytes", flush=True)
    with contextlib.closing(https.Field(arguments.build)) as field:
        result["handshakes"] = measure_handshakes(field.servers, arguments.rounds, arguments.handshakes)
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
