"""Socket calls of a script: read from its language and made through the table that the shared object filled."""

import ctypes
import errno
import fcntl
import os
import re
import select
import socket
import struct

from script_packets import Failure

FIELDS = ("self free socket bind listen accept connect read readv recv recvfrom recvmsg write writev send "
          "sendto sendmsg fcntl ioctl close shutdown getsockopt setsockopt poll netdev_send netdev_receive usleep "
          "gettimeofday epoll_create epoll_ctl epoll_wait pipe splice").split()
LONG = ("read", "recv", "write", "send")
# What Python's modules do not name everywhere.
NAMED = {"SOL_TCP": 6, "TCP_USER_TIMEOUT": 18, "TCP_NOTSENT_LOWAT": 25, "TCP_INQ": 36, "SO_ZEROCOPY": 60,
         "SO_BUSY_POLL": 46, "SO_SNDBUFFORCE": 32, "SO_RCVBUFFORCE": 33, "MSG_ZEROCOPY": 0x4000000,
         "MSG_FASTOPEN": 0x20000000, "FIONREAD": 0x541B, "SIOCINQ": 0x541B, "SIOCOUTQ": 0x5411,
         "SIOCOUTQNSD": 0x894B, "FIONBIO": 0x5421, "IP_MTU_DISCOVER": 10, "IP_PMTUDISC_DO": 2,
         "EPOLLET": 1 << 31, "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3}


class Table:
    """The interface's calls as Python functions that raise OSError."""

    def __init__(self, path, flags):
        # As the driver opens it.
        library = ctypes.CDLL(path, os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NODELETE | os.RTLD_DEEPBIND, use_errno=True)
        self.pointers = (ctypes.c_void_p * len(FIELDS))()
        library.packetdrill_interface_init(flags.encode(), ctypes.byref(self.pointers))

    def call(self, name, *arguments):
        prototype = ctypes.CFUNCTYPE(ctypes.c_ssize_t if name in LONG else ctypes.c_int, ctypes.c_void_p,
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


def split(text):
    """At the commas that are in no bracket and no string."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == '"'
        depth += character in "([{" and not quoted
        depth -= character in ")]}" and not quoted
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def number(text):
    value = 0
    for word in text.strip("() ").split("|"):
        word = word.strip()
        found = NAMED.get(word)
        for module in (socket, select, os, fcntl, errno):
            found = getattr(module, word, None) if found is None else found
        if found is None:
            try:
                found = int(word, 0)
            except ValueError:
                raise Failure(f"'{word}' is not known") from None
        value |= found
    return value


class Calls:
    """The socket calls, and the descriptors a script gave names to."""

    def __init__(self, table, version, address, port):
        self.table, self.version, self.port, self.address = table, version, port, address
        self.descriptors = {}

    def descriptor(self, text):
        if text not in self.descriptors:
            raise Failure(f"descriptor {text} is not open")
        return ctypes.c_int(self.descriptors[text])

    def sockaddr(self):
        packed = socket.inet_pton(socket.AF_INET6 if ":" in self.address else socket.AF_INET, self.address)
        if self.version == "ipv4":
            return struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8s", self.port, packed, bytes(8))
        if len(packed) == 4:
            packed = bytes(10) + b"\xff\xff" + packed
        return struct.pack("=H", socket.AF_INET6) + struct.pack(">HI16sI", self.port, 0, packed, 0)

    def run(self, text):
        """Makes the call; raises Failure when it does not give what the script says."""
        match = re.fullmatch(r"(\w+) ?\((.*)\) = (\S+)(?: (E\w+))?(?: \(.*\))?", text)
        if not match:
            raise Failure(f"cannot read call '{text}'")
        name, arguments, wanted, code = match[1], split(match[2]), match[3], match[4]
        check = lambda: None  # noqa: E731
        try:
            made = getattr(self, "call_" + name, None)
            if made is None:
                raise Failure(f"call '{name}' is not known")
            result = made(arguments)
            if isinstance(result, tuple):
                result, check = result
        except OSError as error:
            if code != errno.errorcode.get(error.errno):
                raise Failure(f"{name} failed: {error}") from error
            return
        if code:
            raise Failure(f"{name} gave {result}")
        if name in ("socket", "accept", "epoll_create"):
            self.descriptors[wanted] = result
        elif result != number(wanted):
            raise Failure(f"{name} gave {result}")
        check()

    def call_socket(self, arguments):
        family = socket.AF_INET if self.version == "ipv4" else socket.AF_INET6
        return self.table.call("socket", ctypes.c_int(family if arguments[0] == "..." else number(arguments[0])),
                               ctypes.c_int(number(arguments[1])), ctypes.c_int(number(arguments[2])))

    def call_bind(self, arguments):
        address = self.sockaddr()
        return self.table.call("bind", self.descriptor(arguments[0]), ctypes.c_char_p(address),
                               ctypes.c_uint(len(address)))

    def call_listen(self, arguments):
        return self.table.call("listen", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])))

    def call_accept(self, arguments):
        none = ctypes.c_void_p()
        return self.table.call("accept", self.descriptor(arguments[0]), none, none)

    def call_connect(self, arguments):
        return self.table.call("connect", self.descriptor(arguments[0]), ctypes.c_void_p(), ctypes.c_uint(0))

    def transfer(self, name, arguments):
        count = number(arguments[2])
        buffer = ctypes.create_string_buffer(count or 1)
        pointer = ctypes.c_void_p() if arguments[1] == "NULL" else ctypes.cast(buffer, ctypes.c_void_p)
        flags = [ctypes.c_int(number(arguments[3]))] if name in ("send", "recv") else []
        return self.table.call(name, self.descriptor(arguments[0]), pointer, ctypes.c_size_t(count), *flags)

    def call_read(self, arguments):
        return self.transfer("read", arguments)

    def call_write(self, arguments):
        return self.transfer("write", arguments)

    def call_recv(self, arguments):
        return self.transfer("recv", arguments)

    def call_send(self, arguments):
        return self.transfer("send", arguments)

    def call_sendto(self, arguments):
        return self.transfer("send", arguments[:4])

    def call_shutdown(self, arguments):
        return self.table.call("shutdown", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])))

    def call_close(self, arguments):
        return self.table.call("close", self.descriptor(arguments[0]))

    def call_fcntl(self, arguments):
        return self.table.call("fcntl", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])),
                               ctypes.c_int(number(arguments[2]) if len(arguments) > 2 else 0))

    def call_ioctl(self, arguments):
        value = ctypes.c_int(0)
        wanted = number(arguments[2].strip("[]"))
        result = self.table.call("ioctl", self.descriptor(arguments[0]), ctypes.c_ulong(number(arguments[1])),
                                 ctypes.pointer(value))
        return result, lambda: self.same("ioctl", value.value, wanted)

    @staticmethod
    def same(name, value, wanted):
        if value != wanted:
            raise Failure(f"{name} told {value}, not {wanted}")

    def option(self, text):
        if text.startswith('"'):
            return text.strip('"').encode().decode("unicode_escape").encode("latin1")
        linger = re.fullmatch(r"\{ ?onoff=(\d+), ?linger=(\d+) ?\}", text)
        if linger:
            return struct.pack("ii", int(linger[1]), int(linger[2]))
        return struct.pack("i", number(text.strip("[]")))

    def call_setsockopt(self, arguments):
        return self.table.call("setsockopt", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])),
                               ctypes.c_int(number(arguments[2])), ctypes.c_char_p(self.option(arguments[3])),
                               ctypes.c_uint(number(arguments[4])))

    def call_getsockopt(self, arguments):
        length = ctypes.c_uint(number(arguments[4].strip("[]")))
        value = ctypes.create_string_buffer(length.value or 1)
        result = self.table.call("getsockopt", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])),
                                 ctypes.c_int(number(arguments[2])), ctypes.cast(value, ctypes.c_void_p),
                                 ctypes.pointer(length))
        wanted = self.option(arguments[3])
        return result, lambda: self.same("getsockopt", value.raw[:length.value].rstrip(b"\0"), wanted.rstrip(b"\0"))

    def call_poll(self, arguments):
        items = re.findall(r"fd=(\d+), ?events=([\w|]+)(?:, ?revents=([\w|]+))?", arguments[0])
        polled = b"".join(struct.pack("ihh", self.descriptor(fd).value, number(events), 0) for fd, events, _ in items)
        buffer = ctypes.create_string_buffer(polled, len(polled))
        result = self.table.call("poll", ctypes.cast(buffer, ctypes.c_void_p), ctypes.c_ulong(len(items)),
                                 ctypes.c_int(number(arguments[2])))
        ready = [struct.unpack_from("ihh", buffer, 8 * i)[2] for i in range(len(items))]
        return result, lambda: self.same("poll", ready, [number(item[2] or "0") for item in items])

    def call_epoll_create(self, arguments):
        return self.table.call("epoll_create", ctypes.c_int(number(arguments[0])))

    @staticmethod
    def epoll_event(text):
        match = re.search(r"events=([\w|]+), ?(ptr|fd|u32|u64)=(\w+)", text)
        if not match:
            raise Failure(f"cannot read event '{text}'")
        return struct.pack("=Iq", number(match[1]) & 0xffffffff, number(match[3]))

    def call_epoll_ctl(self, arguments):
        return self.table.call("epoll_ctl", self.descriptor(arguments[0]), ctypes.c_int(number(arguments[1])),
                               self.descriptor(arguments[2]), ctypes.c_char_p(self.epoll_event(arguments[3])))

    def call_epoll_wait(self, arguments):
        most = number(arguments[2])
        buffer = ctypes.create_string_buffer(12 * most)
        result = self.table.call("epoll_wait", self.descriptor(arguments[0]), ctypes.cast(buffer, ctypes.c_void_p),
                                 ctypes.c_int(most), ctypes.c_int(number(arguments[3])))
        wanted = self.epoll_event(arguments[1])
        return result, lambda: self.same("epoll_wait", buffer.raw[:12], wanted)
