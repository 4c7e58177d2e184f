"""The endpoint of bun.ts on Python's http.server, with HTTP/1.1.

    python3 python.py PORT DELAY_MS
"""
import hashlib
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, DELAY_MS = int(sys.argv[1]), int(sys.argv[2])
served = []
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise the header section and the body are two writes, and the second waits for the first one's acknowledgment.
    wbufsize = -1

    def do_GET(self):
        digest = hashlib.sha256()
        length = 0
        for piece in self.body():
            digest.update(piece)
            length += len(piece)
        with lock:
            served.append(f"{self.command} {self.path}" + (f" {digest.hexdigest()}" if length > 0 else ""))
        time.sleep(DELAY_MS / 1000)
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"served")

    do_POST = do_PUT = do_GET

    def body(self):
        """http.server leaves bodies to its handlers."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield from self.read(int(self.headers.get("Content-Length", 0)))
            return
        while (length := int(self.rfile.readline().split(b";")[0], 16)) > 0:
            yield from self.read(length)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def read(self, length):
        while length > 0:
            piece = self.rfile.read(min(length, 65536))
            if not piece:
                raise ConnectionError("the body is cut off")
            length -= len(piece)
            yield piece

    def log_request(self, code="-", size="-"):
        pass

    def log_error(self, format, *args):
        print("malformed:", format % args, file=sys.stderr, flush=True)


class Server(ThreadingHTTPServer):
    # Five, the default, refuses most connections that come at the same time.
    request_queue_size = 128


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
server = Server(("", PORT), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
lock.acquire()
print("\n".join(served), flush=True)
os._exit(0)
