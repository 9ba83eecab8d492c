"""The hosts that publish models, played by a local HTTPS proxy."""

import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

import http_server
from in_thread import in_thread

GITHUB_FILES = "https://release-assets.githubusercontent.com"
HUGGING_FACE_FILES = "https://cas-bridge.xethub.hf.co"


class Handler(http_server.Handler):
    """Answers for any host as `server.plays` says: (behaviour, content or target) by address."""

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.host = self.path.removesuffix(":443")
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False  # the request itself follows

    def do_GET(self):
        url = f"https://{self.host}{self.path}"
        self.server.asked.append((url, self.headers.get("Range")))
        behaviour, content = self.server.plays.get(url, ("gone", b""))
        if behaviour == "redirect":
            self.answer(302, Location=content)
            return
        self.content = content
        getattr(self, behaviour)()


class Internet(ThreadingHTTPServer):
    """`asked`: the requested addresses and ranges."""

    daemon_threads = True  # a stalled answer must not outlive the test

    def __init__(self, hosts, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plays, self.asked, self.sent, self.over = {}, [], 0, threading.Event()
        names = ",".join(f"DNS:{host}" for host in sorted(hosts))
        self.certificate = folder / "internet.crt"
        key = folder / "internet.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=internet"),
                *("-addext", f"subjectAltName={names}"),
                *("-keyout", key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)

    @property
    def environment(self):
        """Variables with which a program reaches these hosts instead of the real ones."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.server_port}",
            "SSL_CERT_FILE": str(self.certificate),
            "NO_PROXY": "127.0.0.1",
        }

    def publish(self, url, content, behaviour="ranges"):
        """Serve a file as its host does: GitHub's releases and Hugging Face redirect to others."""
        place = urlsplit(url)
        files = {"github.com": GITHUB_FILES, "huggingface.co": HUGGING_FACE_FILES}.get(place.netloc)
        if files is None:
            self.plays[url] = (behaviour, content)
            return
        target = f"{files}{place.path}?signature=made-up"
        self.plays[url] = ("redirect", target)
        self.plays[target] = (behaviour, content)

    def handle_error(self, request, client_address):
        """Say nothing: clients that don't want an answer hang up."""


@contextmanager
def playing(models, folder):
    """Play the hosts of the models' addresses."""
    hosts = {urlsplit(url).netloc for model in models for url in model.urls}
    hosts |= {urlsplit(url).netloc for url in (GITHUB_FILES, HUGGING_FACE_FILES)}
    with in_thread(Internet(hosts, folder), poll=0.01) as server:
        try:
            yield server
        finally:
            server.over.set()
