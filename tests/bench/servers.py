"""The servers a benchmark compares, each with a configuration that its own documentation would call fair: one worker, content in
memory, no access log, keep-alive without end. A server is pinned to one CPU; what it costs is read from the kernel's own
accounting of its processes, so that a client's noise does not count."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVER_CPU = 0
CLIENT_CPU = 1
TICKS = os.sysconf("SC_CLK_TCK")
SUITE = "TLS_AES_128_GCM_SHA256"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_tree(pid):
    """The process and all that descend from it."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting += children.get(current, [])
    return found


def cpu_seconds(pid):
    """User and system time of a process tree so far. Nanoseconds from schedstat where there is one: ticks are too coarse."""
    total = 0.0
    for each in process_tree(pid):
        for task in Path(f"/proc/{each}/task").glob("*"):
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue
    return total


def resident_bytes(pid):
    """Of a process and its children, each page once; without pages of files, which are others' as well."""
    total = 0
    for each in process_tree(pid):
        try:
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class Server:
    """A running server: where it listens and what it has cost."""

    def __init__(self, name, command, port, cpu=SERVER_CPU, log=None):
        self.name = name
        self.port = port
        self.log = log
        output = open(log, "wb") if log else subprocess.DEVNULL
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=output, stderr=output,
                                        start_new_session=True)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    tail = Path(log).read_text(errors="replace")[-500:] if log else ""
                    raise SystemExit(f"{name} does not listen on port {port}: {tail}")
                time.sleep(0.05)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_bytes(self):
        return resident_bytes(self.process.pid)

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


NGINX_BASE = """
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 40000;
pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; sendfile on; tcp_nopush off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  open_file_cache max=1000 inactive=600s;
  {inside}
}}
"""


def nginx(name, work, inside, port, cpu=SERVER_CPU):
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    config = work / "nginx.conf"
    config.write_text(NGINX_BASE.format(work=work, inside=inside))
    return Server(name, ["nginx", "-p", str(work), "-e", str(work / "error.log"), "-c", str(config)], port, cpu,
                  work / "output.log")


def nginx_static(work, docroot, cpu=SERVER_CPU, name="nginx static"):
    port = free_port()
    inside = f'server {{ listen 127.0.0.1:{port} backlog=4096; root {docroot}; add_header Cache-Control "max-age=86400"; }}'
    return nginx(name, work, inside, port, cpu)


def certificate(folder):
    """A P-256 certificate for localhost; returns the files of the certificate, its key, and both together (PEM)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chain, key, both = (folder / name for name in ("certificate.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    both.write_text(chain.read_text() + key.read_text())
    return chain, key, both


def nginx_proxy_cache(work, origin_port, identity=None):
    """`identity`: what certificate() returned; then it speaks https, HTTP/1.1 and 2."""
    port = free_port()
    tls = ""
    if identity:
        chain, key, _ = identity
        tls = f"""http2 on; ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {SUITE}; ssl_session_cache shared:sessions:16m; ssl_session_timeout 1h; http2_max_concurrent_streams 256;"""
    inside = f"""
  proxy_cache_path {work}/cache levels=1:2 keys_zone=bench:16m max_size=2g inactive=1d use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 16; }}
  server {{ listen 127.0.0.1:{port}{' ssl' if identity else ''} backlog=4096; {tls}
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache bench; proxy_cache_lock on; proxy_cache_lock_timeout 30s; proxy_cache_lock_age 30s; }} }}"""
    return nginx("nginx proxy_cache", work, inside, port)


def varnish(work, origin_port):
    port = free_port()
    Path(work).mkdir(parents=True, exist_ok=True)
    return Server("varnish", ["varnishd", "-F", "-j", "none", "-n", str(work), "-a", f"127.0.0.1:{port}", "-b",
                              f"127.0.0.1:{origin_port}", "-s", "malloc,1g", "-p", "vsl_mask=none", "-p", "timeout_idle=600"],
                  port, log=Path(work) / "output.log")


def haproxy(work, origin_port, identity=None):
    port = free_port()
    tls = f" ssl crt {identity[2]} alpn h2,http/1.1 ssl-min-ver TLSv1.3 ciphersuites {SUITE}" if identity else ""
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    config = work / "haproxy.cfg"
    config.write_text(f"""
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
cache bench
  total-max-size 1024
  max-object-size 16777216
  max-age 86400
frontend front
  bind 127.0.0.1:{port} backlog 4096{tls}
  http-request cache-use bench
  http-response cache-store bench
  default_backend back
backend back
  http-request cache-use bench
  http-response cache-store bench
  server origin 127.0.0.1:{origin_port}
""")
    return Server("haproxy", ["haproxy", "-f", str(config), "-db"], port, log=work / "output.log")


def node(work, build, origin_port, ram="1G"):
    port = free_port()
    Path(work).mkdir(parents=True, exist_ok=True)
    return Server("nearfield", [str(Path(build) / "dataplane/nearfield-dataplane"), "--listen", f"127.0.0.1:{port}",
                                "--origin", f"http://127.0.0.1:{origin_port}", "--ram", ram, "--workers", "1"],
                  port, log=Path(work) / "output.log")


def secure_node(work, build, origin_port, identity, ram="1G"):
    """Speaks https. Its bounds on handshakes of one client prefix are those of a crowd: all clients here have one address."""
    port = free_port()
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    chain, key, _ = identity
    config = work / "node.toml"
    config.write_text(f"""
[node]
listen = ["127.0.0.1:{free_port()}"]
workers = 1
control = ""
[cache]
ram = "{ram}"
[[origin]]
name = "origin"
hosts = ["*"]
servers = ["http://127.0.0.1:{origin_port}"]
[limits]
idle_timeout = "600s"
[tls]
listen = ["127.0.0.1:{port}"]
certificates = [{{ certificate = "{chain}", key = "{key}" }}]
[tls.helpers]
threads = 1
queue_per_prefix = 1024
""")
    return Server("nearfield", [str(Path(build) / "dataplane/nearfield-dataplane"), "--config", str(config)], port, log=work / "output.log")


def in_own_network(controls=("cubic", "reno")):
    """Runs this program again in a network of its own, with one congestion control for all: the kernel's default (bbr on some) costs
    several times the CPU on loopback, and would be measured instead of the servers. Cubic where the kernel allows it in a namespace,
    else reno; without loss the two behave alike. Returns which of `controls` it is."""
    if os.environ.get("NEARFIELD_BENCH_NETWORK"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        chosen = Path("/proc/sys/net/ipv4/tcp_congestion_control")
        for control in controls:
            if control in chosen.read_text().split():  # where a namespace begins with it, it need not be allowed to choose it
                return control
            with contextlib.suppress(PermissionError, FileNotFoundError):
                chosen.write_text(control)
                return control
        raise SystemExit(f"this kernel lets a namespace choose none of: {', '.join(controls)}")
    if not shutil.which("unshare"):
        raise SystemExit("the benchmark needs unshare (util-linux) to make a network namespace")
    environment = {**os.environ, "NEARFIELD_BENCH_NETWORK": "1"}
    os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], environment)
