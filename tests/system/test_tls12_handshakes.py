"""Second flights of TLS 1.2 that no honest client sends: ClientKeyExchange, ChangeCipherSpec, Finished; spoilt, missing, doubled, out of order."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tls12_support import Tls12Wire
from tls_abuse_support import SONG, flipped, goes_on, node  # noqa: F401
from tls_client_support import (ALERT, BAD_RECORD_MAC, CHANGE_CIPHER_SPEC, DATA, DECODE_ERROR, HANDSHAKE, HANDSHAKE_FAILURE,
                                ILLEGAL_PARAMETER, UNEXPECTED_MESSAGE, Hello, message, record)
from wire_support import Broken

KEY_EXCHANGE = 16


def exchange(public: bytes) -> bytes:
    return record(HANDSHAKE, message(KEY_EXCHANGE, bytes([len(public)]) + public))


def public(key: bytes) -> bytes:
    """Of P-256, or X25519, in the client's record."""
    return key[10:]


def another(key: bytes) -> bytes:
    if len(public(key)) == 32:
        return os.urandom(32)
    return ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def weak(key: bytes) -> bytes:
    """A point of small order of X25519, or one that is not on P-256."""
    return bytes(32) if len(public(key)) == 32 else flipped(public(key), -1)


FLIGHTS = {
    "no ClientKeyExchange": (lambda key, change, finished: change + finished, None),
    "ChangeCipherSpec before it": (lambda key, change, finished: change + key + finished, None),
    "a key of no bytes": (lambda key, change, finished: exchange(b"") + change + finished, DECODE_ERROR),
    "a key too short": (lambda key, change, finished: exchange(public(key)[:-1]) + change + finished, DECODE_ERROR),
    "a key too long": (lambda key, change, finished: exchange(public(key) + bytes(1)) + change + finished, DECODE_ERROR),
    "a key of no use": (lambda key, change, finished: exchange(weak(key)) + change + finished, None),
    "another key": (lambda key, change, finished: exchange(another(key)) + change + finished, BAD_RECORD_MAC),
    "the key and more": (lambda key, change, finished: record(HANDSHAKE, message(KEY_EXCHANGE, key[9:] + bytes(7))) + change, DECODE_ERROR),
    "two keys": (lambda key, change, finished: key + key + change + finished, UNEXPECTED_MESSAGE),
    "a Certificate nobody asked for": (lambda key, change, finished: record(HANDSHAKE, message(11, b"\0\0\0")) + key + change + finished, None),
    "a ClientHello": (lambda key, change, finished: record(HANDSHAKE, Hello(versions=()).encoded()), None),
    "data": (lambda key, change, finished: key + record(DATA, b"GET / HTTP/1.1\r\n\r\n"), UNEXPECTED_MESSAGE),
    "a heartbeat": (lambda key, change, finished: key + record(24, b"\1\x40\0" + bytes(16)), None),
    "two of them": (lambda key, change, finished: key + change + change + finished, BAD_RECORD_MAC),
    "one of 2": (lambda key, change, finished: key + record(CHANGE_CIPHER_SPEC, b"\2") + finished, None),
    "one of two bytes": (lambda key, change, finished: key + record(CHANGE_CIPHER_SPEC, b"\1\1") + finished, None),
    "an empty one": (lambda key, change, finished: key + record(CHANGE_CIPHER_SPEC, b"") + finished, None),
    "Finished in clear text": (lambda key, change, finished: key + change + record(HANDSHAKE, message(20, bytes(12))), BAD_RECORD_MAC),
    "Finished before ChangeCipherSpec": (lambda key, change, finished: key + record(HANDSHAKE, message(20, bytes(12))) + change, UNEXPECTED_MESSAGE),
    "a spoilt Finished": (lambda key, change, finished: key + change + flipped(finished, -1), BAD_RECORD_MAC),
    "data in place of Finished": (lambda key, change, finished: key + change + bytes([DATA]) + finished[1:], BAD_RECORD_MAC),
    "a Finished without a tag": (lambda key, change, finished: key + change + record(HANDSHAKE, bytes(23)), BAD_RECORD_MAC),
}


@pytest.mark.parametrize("what", FLIGHTS)
def test_a_bad_flight_is_refused(node, ca, what):
    """Which alert of several that fit is the library's choice where none is named here."""
    sent, alert = FLIGHTS[what]
    before = node.tls_counters()["handshakes_failed"]
    with Tls12Wire(node.tls_port, ca, flight=sent) as wire:
        header, (level, found) = wire._raw_exactly(5), wire._raw_exactly(2)
        assert header == record(ALERT, bytes(2))[:5] and level == 2
        assert found == alert if alert is not None else found in (UNEXPECTED_MESSAGE, DECODE_ERROR, ILLEGAL_PARAMETER, HANDSHAKE_FAILURE), found
        with pytest.raises(Broken):
            wire._raw_exactly(1)
    node.counted("handshakes_failed", before + 1)


@pytest.mark.parametrize("size", [4, 20, 1000])
def test_a_flight_in_pieces_is_not_spoilt(node, ca, size):
    def pieces(key: bytes, change: bytes, finished: bytes) -> bytes:
        return b"".join(record(HANDSHAKE, key[at:at + size]) for at in range(5, len(key), size)) + change + finished

    with Tls12Wire(node.tls_port, ca, flight=pieces, good=True) as wire:
        assert wire.ask("/song").body == SONG
