"""A node that speaks TLS, and a client of it that is Python's ssl."""

from __future__ import annotations

import ssl

import pytest
from certificate_support import Leaf
from link_support import TRANSPORT, new_link
from node_support import Node
from wire_support import NAME, Broken, Wire

once = pytest.mark.skipif(TRANSPORT == "dpdk", reason="is the same whatever carries the bytes")


def tls_table(listen: tuple[str, ...], leaves: list[Leaf], more: str = "") -> str:
    """[tls] of a configuration; `more` are further keys and tables of it."""
    addresses = ", ".join(f'"{each}"' for each in listen)
    listed = ", ".join(f'{{ certificate = "{leaf.chain}", key = "{leaf.key}" }}' for leaf in leaves)
    return f"[tls]\nlisten = [{addresses}]\ncertificates = [{listed}]\n{more}\n"


class TlsNode(Node):
    """Speaks TLS on tls_port, and clear text on port. `tls` are further keys and tables of [tls], `more` further tables."""

    def __init__(self, origins: str, leaves: list[Leaf], tls: str = "", more: str = "", **options):
        link = new_link()
        super().__init__(origins, f"{more}\n{tls_table(link.listens_tls(), leaves, tls)}", link=link, **options)
        ports = [int(address.rsplit(":", 1)[1]) for address in self.status()["tls"]["listen"]]
        self.tls_port, self.tls_port_v6 = ports[0], ports[-1]


class SslWire(Wire):
    """A connection of Python's, which is OpenSSL's. An end without close_notify is Broken, "end without close_notify"."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = NAME, *, session: ssl.SSLSession | None = None, **options):
        super().__init__(port, **options)
        plain = self.socket
        try:
            self.socket = context.wrap_socket(plain, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def more(self) -> None:
        try:
            super().more()
        except ssl.SSLEOFError as error:
            raise Broken("end without close_notify") from error
        except ssl.SSLError as error:
            raise Broken(str(error)) from error

    @property
    def resumed(self) -> bool:
        return bool(self.socket.session_reused)

    @property
    def serial(self) -> int:
        return int(self.socket.getpeercert()["serialNumber"], 16)
