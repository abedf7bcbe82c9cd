"""Runs a script of packetdrill's language against a shared object with its interface (interface.h), so that our
scripts run wherever our tests run. packetdrill itself takes the same scripts.

A script is options (`--name=value`), then lines of `TIME EVENT`. TIME is seconds from the start, `+` seconds from the
event before, `+0~+1` a span in which a packet leaves, `*` any time, and `0...0.5` when a call is made and when it
returns. An event is `< PACKET` for the stack, `> PACKET` expected from it (script_packets.py), or `call(...) = result`
(script_calls.py). `%{ code }%` is Python with the fields of TCP_INFO; packetdrill asks the kernel for those, so our own
scripts have none. Commands in back quotes set up a kernel and are skipped.

Usage: run_script.py [--ip_version=VERSION] [--tolerance_percent=N] SHARED_OBJECT SCRIPT. One line a finding; the exit
status is 1 when there is any.
"""

import argparse
import ctypes
import re
import struct
import sys
import threading
import time

from script_calls import Calls, Table
from script_packets import Failure, Flow, Sent, build, differences, length_of

PORT, REMOTE_PORT = 8080, 40000
ADDRESSES = {"ipv4": ("192.168.0.1", "192.0.2.1"), "ipv4-mapped-ipv6": ("192.168.0.1", "192.0.2.1"),
             "ipv6": ("fd3d:fa7b:d17d::1", "2001:db8::1")}
NUMBER = r"(?:\d+\.\d+|\.\d+|\d+)"
LINE = re.compile(rf"\s*(\*|\+?{NUMBER}(?:~\+?{NUMBER}|\.\.\.{NUMBER})?)\s+(\S.*)", re.DOTALL)
# struct tcp_info of <linux/tcp.h>, as far as scripts ask.
INFORMATION = ("B:state ca_state retransmits probes backoff options scales flags I:rto ato snd_mss rcv_mss unacked "
               "sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu "
               "rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans "
               "Q:pacing_rate max_pacing_rate bytes_acked bytes_received I:segs_out segs_in notsent_bytes min_rtt "
               "data_segs_in data_segs_out Q:delivery_rate busy_time rwnd_limited sndbuf_limited I:delivered "
               "delivered_ce Q:bytes_sent bytes_retrans I:dsack_dups reord_seen")


def read_script(path):
    """(options, [(line number, time, event)])."""
    with open(path, encoding="utf-8") as file:
        text = file.read()

    def blank(match):
        return match[0] if match[0][0] in "\"`%" else re.sub(r"[^\n]", " ", match[0])

    text = re.sub(r"%\{.*?\}%|\"[^\"\n]*\"|`[^`]*`|/\*.*?\*/|//[^\n]*", blank, text, flags=re.DOTALL)
    options, events, command, code = {}, [], False, False
    for line_number, line in enumerate(text.split("\n"), 1):
        option = re.fullmatch(r"\s*--(\w+)(?:=(.*))?", line)
        start = LINE.fullmatch(line)
        if code:
            events[-1][2] += "\n" + line
        elif command or line.strip().startswith("`"):
            command ^= line.count("`") % 2 == 1
            continue
        elif option and not events:
            options[option[1]] = (option[2] or "").strip().strip('"')
        elif start:
            events.append([line_number, start[1], start[2].rstrip()])
            command = "`" in start[2] and start[2].count("`") == 1
        elif line.strip():
            events[-1][2] += " " + line.strip()
        code = bool(events) and "%{" in events[-1][2] and "}%" not in events[-1][2]
    return options, events


class Waiting(threading.Thread):
    """A call that the script says will take time."""

    def __init__(self, run, event, end):
        super().__init__(daemon=True)
        self.run_, self.event, self.end, self.failure = run, event, end, None
        self.begun = threading.Event()
        self.start()
        self.begun.wait()
        self.join(0.02)  # it waits by then, or is done

    def run(self):
        self.begun.set()
        try:
            self.run_.calls.run(self.event)
            self.run_.check_time("it returned", self.run_.time(), self.end, self.end, self.end)
        except Failure as failure:
            self.failure = failure


class Run:
    def __init__(self, library, path, version, tolerance_percent):
        options, self.events = read_script(path)
        version = options.get("ip_version", version)
        local, remote = ADDRESSES[version]
        self.tolerance = int(options.get("tolerance_usecs", 4000)) / 1e6
        self.tolerance_percent = tolerance_percent
        self.check_timestamps = int(options.get("tcp_ts_tick_usecs", 0)) == 1000
        self.table = Table(library, options.get("so_flags", ""))
        self.calls = Calls(self.table, version, local, PORT)
        self.flow = Flow(local, remote, PORT, REMOTE_PORT)
        self.start = self.table.now()
        self.last = 0.0
        self.waiting = None
        self.used = False  # the flow has been

    def time(self):
        return self.table.now() - self.start

    def sleep_until(self, seconds):
        while seconds - self.time() > 2e-6:
            self.table.call("usleep", ctypes.c_uint(int((seconds - self.time()) * 1e6) or 1))

    def check_time(self, what, when, low, high, since):
        tolerance = max(self.tolerance, self.tolerance_percent / 100 * (since - self.last))
        if not low - tolerance <= when <= high + tolerance:
            raise Failure(f"{what} at {when:.4f}, not at {low:.4f}" + (f" to {high:.4f}" if high > low else ""))

    def inject(self, text):
        self.used = True
        packet = build(text, self.flow)
        self.table.call("netdev_send", ctypes.c_char_p(packet), ctypes.c_size_t(len(packet)))

    def next_packet(self):
        while True:
            buffer, count = ctypes.create_string_buffer(65536), ctypes.c_size_t(65536)
            when = ctypes.c_longlong()
            self.table.call("netdev_receive", ctypes.cast(buffer, ctypes.c_void_p), ctypes.pointer(count),
                            ctypes.pointer(when))
            if count.value == 0:
                raise Failure("the stack sends nothing more")
            sent = Sent(buffer.raw[:count.value], self.flow)
            if sent.remote_port == self.flow.remote_port:
                return when.value / 1e6 - self.start, sent

    def expect(self, text, low, high):
        length = length_of(text)
        when, sent = self.next_packet()
        while 0 < len(sent.payload) < length:
            when, following = self.next_packet()
            sent.join(following)
        wrong = differences(text, sent, self.flow, self.check_timestamps)
        try:
            self.check_time("it left", when, low, high, low)
        except Failure as failure:
            wrong.append(str(failure))
        if wrong:
            raise Failure("; ".join(wrong))

    def run_code(self, text):
        information = ctypes.create_string_buffer(512)
        length = ctypes.c_uint(512)
        last = list(self.calls.descriptors.values())[-1]
        self.table.call("getsockopt", ctypes.c_int(last), ctypes.c_int(6), ctypes.c_int(11),
                        ctypes.cast(information, ctypes.c_void_p), ctypes.pointer(length))
        names = {"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4}
        offset = 0
        for word in INFORMATION.split():
            if ":" in word:
                kind, word = word.split(":")
            names["tcpi_" + word], = struct.unpack_from(kind, information, offset)
            offset += struct.calcsize(kind)
        try:
            exec(text, names)  # noqa: S102
        except AssertionError as error:
            raise Failure(f"an assertion does not hold: {error}") from error

    def await_idle(self):
        if self.waiting:
            self.waiting.join(1)
            if self.waiting.is_alive():
                raise Failure(f"still waits: {self.waiting.event}")
            failure, self.waiting = self.waiting.failure, None
            if failure:
                raise failure

    def run_event(self, when, event):
        text = re.sub(r"\s+", " ", event) if not event.startswith("%{") else event
        relative = when.startswith("+")
        base = self.time() if relative else 0.0
        times = [base + float(part.strip("+")) for part in re.split(r"~|\.\.\.", when) if part != "*"]
        low, high = (times[0], times[-1]) if times else (0.0, 1e9)
        if text.startswith(">"):
            self.expect(text[1:].strip(), low, high)
        else:
            self.sleep_until(low)
            if text.startswith("<"):
                self.inject(text[1:].strip())
            elif text.startswith("%{"):
                self.run_code(re.sub(r"\n\s*", "\n", text[2:text.index("}%")].strip()))
            elif not text.startswith("`"):
                self.await_idle()
                if text.startswith("socket(") and self.used:
                    self.flow = Flow(self.flow.local, self.flow.remote, PORT, self.flow.remote_port + 1)
                    self.used = False
                if "..." in when:
                    self.waiting = Waiting(self, text, high)
                else:
                    self.calls.run(text)
        self.last = low if times else self.time()

    def run(self):
        for number, when, event in self.events:
            try:
                self.run_event(when, event)
                if self.waiting and self.waiting.failure:
                    self.await_idle()
            except Failure as failure:
                return f"{number}: {failure}: {when} {event}"
        try:
            self.await_idle()
        except Failure as failure:
            return f"end: {failure}"
        self.table.free()
        return None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--ip_version", default="ipv4", choices=ADDRESSES)
    arguments.add_argument("--tolerance_percent", type=float, default=0.0)
    arguments.add_argument("library")
    arguments.add_argument("script")
    given = arguments.parse_args()
    finding = Run(given.library, given.script, given.ip_version, given.tolerance_percent).run()
    if finding:
        print(f"{given.script}:{finding}", flush=True)
    return 1 if finding else 0


if __name__ == "__main__":
    sys.exit(main())
