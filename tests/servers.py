"""TLS servers of other makers, each on a port of its own: nginx, Apache, `openssl s_server`, and small ones with faults that those
no longer have."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time

NGINX = "/usr/sbin/nginx"
APACHE = "/usr/sbin/apache2"
MODULES = "/usr/lib/apache2/modules"
# What a server is allowed that has to be weak: the faults are the tests' subject.
WEAK = "DEFAULT:@SECLEVEL=0"


def free_ports(count):
    """Ports that were free a moment ago, all of them at once."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def free_port():
    return free_ports(1)[0]


class Process:
    """A server in the foreground; ready once it listens."""

    def __init__(self, base, command, port, env=None):
        self.port = port
        self.log = base / "stderr.log"
        with open(self.log, "wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=base, stdin=subprocess.PIPE, stdout=stderr, stderr=stderr, env=os.environ | (env or {}))
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.02)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(base, server, identity, *, lines="", protocols="TLSv1.2 TLSv1.3", ciphers=None, main="", http=""):
    """One server block for the name `server`; `lines` stand in it, `http` beside it."""
    base.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (base / "nginx.conf").write_text(f"""
daemon off;
pid {base}/nginx.pid;
error_log {base}/error.log;
worker_processes 1;
{main}
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {base}/body; proxy_temp_path {base}/proxy; fastcgi_temp_path {base}/fastcgi;
  uwsgi_temp_path {base}/uwsgi; scgi_temp_path {base}/scgi;
  ssl_protocols {protocols};
  {f'ssl_ciphers "{ciphers}";' if ciphers else ''}
  {http.replace("PORT", str(port))}
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name {server};
    ssl_certificate {identity.cert};
    ssl_certificate_key {identity.key};
    {lines}
    location / {{ return 200 "ok"; }}
    location /missing {{ return 404; }}
    location /broken {{ return 502; }}
  }}
}}
""")
    return Process(base, [NGINX, "-p", str(base), "-c", str(base / "nginx.conf")], port)


def apache(base, server, identity, lines):
    """One virtual host for the name `server`."""
    base.mkdir(parents=True, exist_ok=True)
    port = free_port()
    modules = ["mpm_event", "authn_core", "authz_core", "ssl", "socache_shmcb", "rewrite"]
    loaded = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in modules)
    (base / "apache.conf").write_text(f"""
ServerRoot {base}
PidFile {base}/apache.pid
ErrorLog {base}/error.log
DefaultRuntimeDir {base}
Mutex file:{base}
{loaded}
Listen 127.0.0.1:{port}
ServerName {server}
StartServers 1
User #{os.getuid() or 33}
Group #{os.getgid() or 33}
SSLSessionCache shmcb:{base}/sessions(512000)
<VirtualHost 127.0.0.1:{port}>
  ServerName {server}
  SSLEngine on
  SSLCertificateFile {identity.cert}
  SSLCertificateKeyFile {identity.key}
  {lines}
  RewriteEngine on
  RewriteRule ^ - [R=204]
</VirtualHost>
""")
    return Process(base, [APACHE, "-X", "-f", str(base / "apache.conf")], port)


def s_server(base, identity, *args):
    """`openssl s_server`, which answers with a page about the connection."""
    base.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", identity.cert, "-key", identity.key, "-www", "-quiet"]
    return Process(base, [*map(str, command), *map(str, args)], port)


class Small:
    """A server of the tests' own: `answer` makes the answer to a connection whose handshake is done."""

    def __init__(self, context, answer):
        self.context, self.answer = context, answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def run(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[raw], daemon=True).start()

    def serve(self, raw):
        raw.settimeout(10)
        with contextlib.suppress(OSError), raw:
            connection = self.context.wrap_socket(raw, server_side=True) if self.context else raw
            with connection:
                request = connection.recv(65536)
                if request:
                    connection.sendall(self.answer(connection, request))

    def close(self):
        self.socket.close()


def context(identity, *, ca=None, mode=ssl.CERT_NONE):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(identity.cert, identity.key)
    made.verify_mode = mode
    if ca:
        made.load_verify_locations(ca.cert)
    return made


def response(status, body="", headers=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n{body}".encode()
