"""Runs a script of packetdrill's language against a shared object with its interface (interface.h): the part of the
language our own scripts use, so that they run wherever our tests run. packetdrill itself takes the same scripts.

A script is lines of `TIME EVENT`: TIME is seconds from the start, `+` seconds from the event before, or `+0~+1` a span.
`< FLAGS BEGIN:END(LENGTH) ack N win N <options>` is sent to the stack, `>` is expected from it, `call(...) = result` is
a socket call. `--so_flags=...` in the first comment line configures the stack. Sequence numbers are relative to each
side's SYN, timestamp values to the stack's first. `*` after `>` means that nothing was sent until then.

Usage: run_script.py SHARED_OBJECT SCRIPT. One line a finding; the exit status is 1 when there is any.
"""

import ctypes
import errno
import os
import re
import socket
import struct
import sys

FIELDS = ("self free socket bind listen accept connect read readv recv recvfrom recvmsg write writev send sendto "
          "sendmsg fcntl ioctl close shutdown getsockopt setsockopt poll netdev_send netdev_receive usleep gettimeofday "
          "epoll_create epoll_ctl epoll_wait pipe splice").split()
LOCAL, REMOTE, PORT, REMOTE_PORT = "192.168.0.1", "192.0.2.1", 8080, 40000
TOLERANCE = 0.004
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
PACKET = re.compile(r"(?:\[(\w+)\] )?([FSRPUEW.]+) (\d+):(\d+)\((\d+)\)(?: ack (\d+))?(?: win (\d+))?"
                    r"(?: <(.*)>)?")
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}


class Failure(Exception):
    pass


class Table:
    """The interface's calls as Python functions that raise OSError."""

    def __init__(self, path, flags):
        library = ctypes.CDLL(path, use_errno=True)
        self.pointers = (ctypes.c_void_p * len(FIELDS))()
        library.packetdrill_interface_init(flags.encode(), ctypes.byref(self.pointers))

    def call(self, name, *arguments):
        prototype = ctypes.CFUNCTYPE(ctypes.c_ssize_t if name in ("read", "write") else ctypes.c_int, ctypes.c_void_p,
                                     *[type(argument) for argument in arguments], use_errno=True)
        result = prototype(self.pointers[FIELDS.index(name)])(self.pointers[0], *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def now(self):
        time = (ctypes.c_long * 2)()
        self.call("gettimeofday", ctypes.cast(time, ctypes.c_void_p), ctypes.c_void_p())
        return time[0] + time[1] / 1e6

    def free(self):
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.pointers[1])(self.pointers[0])


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def write_options(text, echo):
    out = b""
    for item in filter(None, (part.strip() for part in (text or "").split(","))):
        words = item.split()
        if words[0] == "mss":
            out += struct.pack(">BBH", 2, 4, int(words[1]))
        elif words[0] == "nop":
            out += b"\1"
        elif words[0] == "eol":
            out += b"\0"
        elif words[0] == "wscale":
            out += struct.pack(">BBB", 3, 3, int(words[1]))
        elif words[0] == "sackOK":
            out += b"\4\2"
        elif words[0] == "TS":
            out += struct.pack(">BBII", 8, 10, int(words[2]), echo(int(words[4])))
        elif words[0] == "sack":
            blocks = [tuple(map(int, block.split(":"))) for block in words[1:]]
            out += struct.pack(">BB", 5, 2 + 8 * len(blocks))
            for begin, end in blocks:
                out += struct.pack(">II", (begin + echo.local_base) & 0xffffffff, (end + echo.local_base) & 0xffffffff)
        else:
            raise Failure(f"option '{item}' is not known")
    return out + b"\0" * (-len(out) % 4)


def read_options(data):
    found = {}
    while data:
        if data[0] == 0:
            break
        if data[0] == 1:
            data = data[1:]
            continue
        kind, length = data[0], data[1]
        found[kind] = data[2:length]
        data = data[length:]
    return found


class Run:
    def __init__(self, library, path):
        with open(path, encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        flags = re.search(r"--so_flags=(\S+)", "\n".join(line for line in self.lines if line.startswith("//")))
        self.table = Table(library, flags.group(1) if flags else "")
        self.start = self.table.now()
        self.last = 0.0
        self.descriptors = {}
        self.local_base = self.remote_base = 0
        self.timestamp_base = None
        self.pending = None

    def time(self):
        return self.table.now() - self.start

    def sleep_until(self, seconds):
        while seconds - self.time() > 2e-6:
            self.table.call("usleep", ctypes.c_uint(int((seconds - self.time()) * 1e6) or 1))

    def __call__(self, value):  # the echo of a scripted timestamp
        return (value + (self.timestamp_base or 0)) & 0xffffffff

    def inject(self, text):
        match = PACKET.fullmatch(text)
        if not match:
            raise Failure(f"cannot read packet '{text}'")
        ecn, flags, begin, _, length, ack, window, options = match.groups()
        bits = sum(FLAGS[flag] for flag in flags)
        sequence = (int(begin) + self.remote_base) & 0xffffffff
        acknowledgment = (int(ack) + self.local_base) & 0xffffffff if ack else 0
        extra = write_options(options, self)
        segment = bytearray(struct.pack(">HHIIBBHHH", REMOTE_PORT, PORT, sequence, acknowledgment,
                                        (5 + len(extra) // 4) << 4, bits, int(window or 0), 0, 0))
        segment += extra + bytes(int(length))
        pseudo = socket.inet_aton(REMOTE) + socket.inet_aton(LOCAL) + struct.pack(">HH", 6, len(segment))
        struct.pack_into(">H", segment, 16, checksum(pseudo + bytes(segment)))
        header = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, ECN[ecn or "noecn"], 20 + len(segment), 0, 0x4000, 64, 6,
                                       0, socket.inet_aton(REMOTE), socket.inet_aton(LOCAL)))
        struct.pack_into(">H", header, 10, checksum(bytes(header)))
        packet = bytes(header) + bytes(segment)
        self.table.call("netdev_send", ctypes.c_char_p(packet), ctypes.c_size_t(len(packet)))

    def next_packet(self):
        if self.pending is None:
            buffer, count = ctypes.create_string_buffer(65536), ctypes.c_size_t(65536)
            when = ctypes.c_longlong()
            self.table.call("netdev_receive", ctypes.cast(buffer, ctypes.c_void_p), ctypes.pointer(count),
                            ctypes.pointer(when))
            if count.value == 0:
                raise Failure("the stack sends nothing more")
            self.pending = (when.value / 1e6 - self.start, buffer.raw[:count.value])
        packet, self.pending = self.pending, None
        return packet

    def expect(self, text, low, high):
        when, packet = self.next_packet()
        match = PACKET.fullmatch(text)
        if not match:
            raise Failure(f"cannot read packet '{text}'")
        ecn, flags, begin, _, length, ack, window, options = match.groups()
        segment = packet[20:]
        _, _, sequence, acknowledgment, offset, bits, actual_window = struct.unpack(">HHIIBBH", segment[:16])
        header = (offset >> 4) * 4
        found = read_options(segment[20:header])
        if bits & 2 and bits & 16 and self.local_base == 0:
            self.local_base = sequence
        if 8 in found and self.timestamp_base is None and options and "TS val" in options:
            self.timestamp_base = (struct.unpack(">I", found[8][:4])[0] - int(re.search(r"TS val (\d+)", options)[1]))
        shown = "".join(flag for flag, bit in FLAGS.items() if bits & bit)
        actual = {"flags": "".join(sorted(shown)), "begin": (sequence - self.local_base) & 0xffffffff,
                  "length": len(segment) - header,
                  "ack": (acknowledgment - self.remote_base) & 0xffffffff if bits & 16 else None}
        wanted = {"flags": "".join(sorted(flags)), "begin": int(begin), "length": int(length),
                  "ack": int(ack) if ack else None}
        if window:
            actual["win"], wanted["win"] = actual_window, int(window)
        if ecn:
            actual["ecn"], wanted["ecn"] = packet[1] & 3, ECN[ecn]
        if bits & 4 and not bits & 16:
            wanted["ack"] = None
        if options is not None and options != "...":
            for kind, name, size in ((2, "mss", ">H"), (3, "wscale", ">B")):
                value = re.search(rf"{name} (\d+)", options)
                actual[name] = struct.unpack(size, found[kind])[0] if kind in found else None
                wanted[name] = int(value[1]) if value else None
            actual["sackOK"], wanted["sackOK"] = 4 in found, "sackOK" in options
            actual["TS"], wanted["TS"] = 8 in found, "TS" in options
            echo = re.search(r"ecr (\d+)", options)
            if echo and 8 in found:
                actual["ecr"], wanted["ecr"] = struct.unpack(">I", found[8][4:])[0], int(echo[1])
            blocks = re.search(r"\bsack ([\d: ]+)", options)
            wanted["sack"] = blocks[1].split() if blocks else []
            words = struct.unpack(f">{len(found.get(5, b'')) // 4}I", found.get(5, b""))
            actual["sack"] = [f"{(words[i] - self.remote_base) & 0xffffffff}:"
                              f"{(words[i + 1] - self.remote_base) & 0xffffffff}" for i in range(0, len(words), 2)]
        wrong = [f"{name} is {actual[name]}, not {wanted[name]}" for name in wanted if actual[name] != wanted[name]]
        pseudo = packet[12:20] + struct.pack(">HH", 6, len(segment))
        if checksum(pseudo + segment) != 0:
            wrong.append("the TCP checksum is wrong")
        if not low - TOLERANCE <= when <= high + TOLERANCE:
            wrong.append(f"it left at {when:.4f}, not at {low:.4f}" + (f" to {high:.4f}" if high > low else ""))
        if wrong:
            raise Failure("; ".join(wrong) +
                          f" (sent: {shown} {actual['begin']}({actual['length']}) ack {actual['ack']})")

    def expect_silence(self, until):
        when, packet = self.next_packet()
        if when < until - TOLERANCE:
            raise Failure(f"a packet left at {when:.4f} ({packet[20:].hex()[:40]}...)")
        self.pending = (when, packet)

    def system_call(self, text):
        match = re.fullmatch(r"(\w+)\((.*)\) = (\S+)(?: (E\w+))?.*", text)
        if not match:
            raise Failure(f"cannot read call '{text}'")
        name, arguments, wanted, code = match.groups()
        arguments = [item.strip() for item in arguments.split(",")]
        descriptor = ctypes.c_int(self.descriptors.get(arguments[0], -1))
        none = ctypes.c_void_p()
        try:
            if name == "socket":
                result = self.table.call(name, ctypes.c_int(socket.AF_INET), ctypes.c_int(socket.SOCK_STREAM),
                                         ctypes.c_int(6))
            elif name == "bind":
                address = struct.pack("=H", socket.AF_INET)
                address += struct.pack(">H4s8s", PORT, socket.inet_aton(LOCAL), bytes(8))
                result = self.table.call(name, descriptor, ctypes.c_char_p(address), ctypes.c_uint(len(address)))
            elif name == "listen":
                result = self.table.call(name, descriptor, ctypes.c_int(int(arguments[1])))
            elif name == "accept":
                result = self.table.call(name, descriptor, none, none)
            elif name in ("read", "write"):
                buffer = ctypes.create_string_buffer(int(arguments[2]) or 1)
                result = self.table.call(name, descriptor, ctypes.cast(buffer, ctypes.c_void_p),
                                         ctypes.c_size_t(int(arguments[2])))
            elif name == "shutdown":
                result = self.table.call(name, descriptor, ctypes.c_int(getattr(socket, arguments[1])))
            elif name == "close":
                result = self.table.call(name, descriptor)
            elif name == "fcntl":  # fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK)
                result = self.table.call(name, descriptor, ctypes.c_int(4),
                                         ctypes.c_long(os.O_NONBLOCK if "O_NONBLOCK" in text else 0))
            else:
                raise Failure(f"call '{name}' is not known")
        except OSError as error:
            if code != errno.errorcode.get(error.errno):
                raise Failure(f"{name} failed: {error}") from error
            return
        if name in ("socket", "accept"):
            self.descriptors[wanted] = result
        elif code or result != int(wanted):
            raise Failure(f"{name} gave {result}")

    def run(self):
        for number, line in enumerate(self.lines, 1):
            line = re.sub(r"\s+", " ", line.split("//")[0]).strip()
            if not line:
                continue
            try:
                match = re.fullmatch(r"(\+?)([\d.]+)(?:~(\+?)([\d.]+))? (.*)", line)
                if not match:
                    raise Failure("cannot read the time")
                base = self.time() if match[1] else 0.0
                low = base + float(match[2])
                high = base + float(match[4]) if match[4] else low
                event = match[5]
                if event.startswith("> *"):
                    self.expect_silence(low)
                elif event.startswith("> "):
                    self.expect(event[2:], low, high)
                else:
                    self.sleep_until(low)
                    if event.startswith("< "):
                        self.inject(event[2:])
                    else:
                        self.system_call(event)
            except Failure as failure:
                return f"{number}: {failure}: {line}"
        self.table.free()
        return None


def main():
    run = Run(sys.argv[1], sys.argv[2])
    finding = run.run()
    if finding:
        print(f"{sys.argv[2]}:{finding}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
