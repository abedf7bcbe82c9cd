"""Runs nginx as the origin: files of the document root, bound to the loopback address, in the foreground."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from children import Child, Children

from . import ports

_CONFIGURATION = """\
# The demonstration's origin. Caches may keep segments for a year (RFC 9213), manifests and the page for seconds. The listener's
# browser is told to keep no segment, so that what is played again is asked of the node again and its hits are seen.
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/client_body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  types {{
    text/html html;
    text/css css;
    text/javascript js mjs;
    application/json json;
    image/svg+xml svg;
    image/jpeg jpg jpeg;
    image/png png;
    application/vnd.apple.mpegurl m3u8;
    application/dash+xml mpd;
    audio/mp4 mp4 m4s;
  }}
  default_type application/octet-stream;
  charset utf-8;
  charset_types text/html text/css text/javascript application/json application/vnd.apple.mpegurl;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  etag on;
  server_tokens off;
  server {{
    listen {address}:{port};
    root {root};
    location = / {{ try_files /index.html =404; add_header Cache-Control "max-age=2"; }}
    location / {{ add_header Cache-Control "max-age=2"; }}
    location /lib/ {{ add_header Cache-Control "max-age=3600"; }}
    location ~ \\.(?:m3u8|mpd)$ {{ add_header Cache-Control "max-age=6"; }}
    location ~ \\.(?:m4s|mp4)$ {{
      add_header Cache-Control no-store;
      add_header CDN-Cache-Control "max-age=31536000";
    }}
  }}
}}
"""


class OriginError(Exception):
    """nginx is missing or did not start."""


def start(folder: Path, root: Path, children: Children, address: str = "127.0.0.1") -> tuple[Child, int]:
    """Starts nginx on a free port of `address` and returns it with the port once it accepts connections."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not program:
        raise OriginError("nginx is not installed: install the package nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    # Its workers must read the album in the user's cache, so they stay who we are.
    user = "user root;\n" if os.geteuid() == 0 else ""
    for _ in range(5):  # between choosing a port and binding it another program may be faster
        port = ports.any_free(address)
        configuration = folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, root=root, address=address, port=port))
        child = children.start("the origin (nginx)", [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")],
                               folder / "output.log")
        deadline = time.monotonic() + 10
        while child.alive() and time.monotonic() < deadline:
            if ports.accepts(address, port):
                return child, port
            time.sleep(0.02)
        lines = child.last_lines() + _tail(folder / "error.log")
        child.stop()
        children.forget(child)
        if not any("Address already in use" in line for line in lines):
            raise OriginError("the origin (nginx) did not start:\n    " + "\n    ".join(lines[-8:]))
    raise OriginError("the origin found no free port")


def _tail(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-8:]
    except OSError:
        return []
