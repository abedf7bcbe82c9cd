"""Packets of a script: read from its language, built to be sent to the stack, and held against what the stack sent.

Only TCP and the ICMP errors about it, over IPv4 and IPv6 without extensions. Sequence numbers and timestamps of a
script are its own; `Flow` turns them into those on the wire and back.
"""

import ipaddress
import re
import struct

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
TCP = re.compile(r"(?:[\[(](?P<ecn>\w+)[\])] )?(?P<flags>[FSRPUEW.]+|-) (?P<begin>\d+):(?P<end>\d+)\((?P<length>\d+)\)"
                 r"(?: ack (?P<ack>\d+))?(?: win (?P<window>\d+))?(?: urg (?P<urgent>\d+))?(?: ?<(?P<options>.*)>)?")
ICMP = re.compile(r"icmp (?P<type>\w+)(?: (?P<code>(?!mtu)\w+))?(?: mtu (?P<mtu>\d+))?"
                  r"(?: ?\[(?P<begin>\d+):(?P<end>\d+)\((?P<length>\d+)\)\])?")
# (type, code) by the names of the language: RFC 792, RFC 4443.
ICMP_TYPES = {4: {"unreachable": 3, "time_exceeded": 11, "parameter_problem": 12},
              6: {"unreachable": 1, "packet_too_big": 2, "time_exceeded": 3, "parameter_problem": 4}}
ICMP_CODES = {4: {"net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2, "port_unreachable": 3,
                  "frag_needed": 4, "source_route_failed": 5, "ttl_exceeded": 0},
              6: {"no_route": 0, "net_unreachable": 0, "adm_prohibited": 1, "host_unreachable": 3,
                  "addr_unreachable": 3, "port_unreachable": 4, "hoplimit_exceeded": 0}}
WRAP = 1 << 32


class Failure(Exception):
    pass


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Flow:
    """One connection of a script: its addresses, and the numbers of both sides' beginnings."""

    def __init__(self, local, remote, port, remote_port):
        self.local, self.remote = ipaddress.ip_address(local), ipaddress.ip_address(remote)
        self.port, self.remote_port = port, remote_port
        self.version = self.local.version
        # By side: the first number on the wire and in the script. Only a SYN is written with the script's own.
        self.local_first, self.remote_first = (0, 0), None
        self.timestamps = {}
        self.timestamp_base = 0

    @staticmethod
    def offset(first, syn):
        return 0 if first is None else first[0] - (first[1] if syn else 0)

    def timestamp(self, scripted):
        return self.timestamps.get(scripted, scripted + self.timestamp_base) % WRAP

    def pseudo(self, protocol, length):
        if self.version == 6:
            return struct.pack(">IHBB", length, 0, 0, protocol)
        return struct.pack(">HH", protocol, length)

    def packet(self, payload, protocol, ecn=0):
        """`payload` has a checksum at `at` that is still zero."""
        addresses = self.remote.packed + self.local.packed
        at = {6: 16, 1: 2, 58: 2}[protocol]
        covered = payload if protocol == 1 else addresses + self.pseudo(protocol, len(payload)) + payload
        payload = payload[:at] + struct.pack(">H", checksum(covered)) + payload[at + 2:]
        if self.version == 6:
            return struct.pack(">IHBB", 6 << 28 | ecn << 20, len(payload), protocol, 64) + addresses + payload
        header = struct.pack(">BBHHHBBH", 0x45, ecn, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + addresses
        return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def read_options(text):
    """The options of a script as (kind, data) with the script's numbers; None for <...>."""
    if text is not None and text.strip() == "...":
        return None
    options = []
    for item in filter(None, (part.strip() for part in (text or "").split(","))):
        words = item.split()
        if words[0] == "nop":
            options.append((1, b""))
        elif words[0] == "eol":
            options.append((0, b""))
        elif words[0] == "mss":
            options.append((2, struct.pack(">H", int(words[1]))))
        elif words[0] == "wscale":
            options.append((3, struct.pack(">B", int(words[1]))))
        elif words[0] == "sackOK":
            options.append((4, b""))
        elif words[0] == "sack":
            edges = [int(edge) for block in words[1:] for edge in block.split(":")]
            options.append((5, struct.pack(f">{len(edges)}I", *edges)))
        elif words[0] == "TS":
            options.append((8, struct.pack(">II", int(words[2]), int(words[4]))))
        else:
            raise Failure(f"option '{item}' is not known")
    return options


def split_options(data):
    options = []
    while data:
        length = 1 if data[0] < 2 else data[1]
        options.append((data[0], bytes(data[2:length])))
        data = data[length:]
    return options


def shift_blocks(data, offset):
    edges = struct.unpack(f">{len(data) // 4}I", data)
    return struct.pack(f">{len(edges)}I", *((edge + offset) % WRAP for edge in edges))


def show_options(options):
    shown = []
    for kind, data in options:
        if kind in (2, 3):
            shown.append(("mss " if kind == 2 else "wscale ") + str(int.from_bytes(data)))
        elif kind == 5:
            edges = struct.unpack(f">{len(data) // 4}I", data)
            shown.append("sack " + " ".join(f"{edges[i]}:{edges[i + 1]}" for i in range(0, len(edges), 2)))
        elif kind == 8:
            shown.append("TS val {} ecr {}".format(*struct.unpack(">II", data)))
        else:
            shown.append({0: "eol", 1: "nop", 4: "sackOK"}.get(kind, f"option {kind}"))
    return ",".join(shown)


def build(text, flow):
    """The packet that `text`, the part of a line after '<', means."""
    if text.startswith("icmp"):
        return build_error(text, flow)
    match = TCP.fullmatch(text)
    if not match:
        raise Failure(f"cannot read packet '{text}'")
    syn = "S" in match["flags"]
    if syn and flow.remote_first is None:
        flow.remote_first = (int(match["begin"]), int(match["begin"]))
    local = flow.offset(flow.local_first, syn)
    options = b""
    for kind, data in read_options(match["options"]):
        if kind == 5:
            data = shift_blocks(data, local)
        if kind == 8 and "." in match["flags"]:
            value, echo = struct.unpack(">II", data)
            data = struct.pack(">II", value, flow.timestamp(echo))
        options += bytes([kind]) if kind < 2 else bytes([kind, len(data) + 2]) + data
    options += bytes(-len(options) % 4)
    bits = sum(FLAGS[flag] for flag in match["flags"] if flag != "-")
    sequence = (int(match["begin"]) + flow.offset(flow.remote_first, syn)) % WRAP
    acknowledgment = (int(match["ack"]) + local) % WRAP if match["ack"] else 0
    segment = struct.pack(">HHIIBBHHH", flow.remote_port, flow.port, sequence, acknowledgment,
                          5 + len(options) // 4 << 4, bits, int(match["window"] or 0), 0, int(match["urgent"] or 0))
    return flow.packet(segment + options + bytes(int(match["length"])), 6, ECN[match["ecn"] or "noecn"])


def build_error(text, flow):
    match = ICMP.fullmatch(text)
    if not match or match["type"] not in ICMP_TYPES[flow.version]:
        raise Failure(f"cannot read packet '{text}'")
    kind = ICMP_TYPES[flow.version][match["type"]]
    code = ICMP_CODES[flow.version].get(match["code"], 0)
    length = int(match["length"] or 0)
    sequence = (int(match["begin"] or 0) + flow.offset(flow.local_first, False)) % WRAP
    quoted = struct.pack(">HHI", flow.port, flow.remote_port, sequence)
    addresses = flow.local.packed + flow.remote.packed
    mtu = int(match["mtu"] or 0)
    if flow.version == 6:
        header = struct.pack(">BBHI", kind, code, 0, mtu) + struct.pack(">IHBB", 6 << 28, 20 + length, 6, 64)
        return flow.packet(header + addresses + quoted, 58)
    header = struct.pack(">BBHHH", kind, code, 0, 0, mtu)
    header += struct.pack(">BBHHHBBH", 0x45, 0, 40 + length, 0, 0x4000, 64, 6, 0)
    return flow.packet(header + addresses + quoted, 1)


class Sent:
    """A packet of the stack, taken apart."""

    def __init__(self, packet, flow):
        version = packet[0] >> 4
        self.ecn = (struct.unpack(">I", packet[:4])[0] >> 20 & 3) if version == 6 else packet[1] & 3
        header = 40 if version == 6 else 20
        segment = packet[header:]
        self.port, self.remote_port, self.sequence, self.acknowledgment, offset, self.bits, self.window = struct.unpack(
            ">HHIIBBH", segment[:16])
        size = (offset >> 4) * 4
        self.options, self.payload = split_options(segment[20:size]), segment[size:]
        addresses = packet[8:40] if version == 6 else packet[12:20]
        pseudo = flow.pseudo(packet[6] if version == 6 else packet[9], len(segment))
        self.checksum_fails = checksum(addresses + pseudo + segment) != 0

    def join(self, following):
        """Segments that follow each other are one, as a script may write them."""
        if following.sequence != (self.sequence + len(self.payload)) % WRAP:
            raise Failure("the packets do not follow each other")
        self.payload += following.payload
        self.bits |= following.bits
        self.checksum_fails |= following.checksum_fails


def length_of(text):
    match = TCP.fullmatch(text)
    if not match:
        raise Failure(f"cannot read packet '{text}'")
    return int(match["length"])


def differences(text, sent, flow, check_timestamps):
    """What of `sent` is not as `text`, the part of a line after '>', says."""
    match = TCP.fullmatch(text)
    syn = bool(sent.bits & 2)
    if syn and "S" in match["flags"] and not flow.local_first[0]:
        flow.local_first = (sent.sequence, int(match["begin"]))
    local, remote = flow.offset(flow.local_first, syn), flow.offset(flow.remote_first, syn)
    shown = "".join(flag for flag, bit in FLAGS.items() if sent.bits & bit)
    actual = {"flags": "".join(sorted(shown)), "begin": (sent.sequence - local) % WRAP, "length": len(sent.payload)}
    wanted = {"flags": "".join(sorted(match["flags"])), "begin": int(match["begin"]), "length": int(match["length"])}
    if sent.bits & 16:
        actual["ack"], wanted["ack"] = (sent.acknowledgment - remote) % WRAP, int(match["ack"] or 0)
    if match["window"]:
        actual["win"], wanted["win"] = sent.window, int(match["window"])
    if match["ecn"] in ECN:
        actual["ecn"], wanted["ecn"] = sent.ecn, ECN[match["ecn"]]
    options = read_options(match["options"])
    if options is not None:
        scripted = next((struct.unpack(">II", data) for kind, data in options if kind == 8), None)
        seen = []
        for kind, data in sent.options:
            if kind == 5:
                data = shift_blocks(data, -remote)
            if kind == 8 and scripted:
                value, echo = struct.unpack(">II", data)
                if not flow.timestamps:
                    flow.timestamp_base = value - scripted[0]
                flow.timestamps[scripted[0]] = value
                value = (value - flow.timestamp_base) % WRAP
                near = not check_timestamps or abs(value - scripted[0]) <= 4
                data = struct.pack(">II", scripted[0] if near else value, echo)
            seen.append((kind, data))
        actual["options"], wanted["options"] = f"<{show_options(seen)}>", f"<{show_options(options)}>"
    wrong = [f"{name} is {actual[name]}, not {wanted[name]}" for name in wanted if actual[name] != wanted[name]]
    if sent.checksum_fails:
        wrong.append("the TCP checksum is wrong")
    if any(sent.payload):
        wrong.append("the payload is not what was written")
    if wrong:
        wrong.append(f"sent: {shown} {actual['begin']}({actual['length']}) ack {actual.get('ack')}")
    return wrong
