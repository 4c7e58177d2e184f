"""The server of node.mjs on Python's http.server, which leaves bodies to its handlers: ours takes no odd lengths."""
import hashlib
import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, LOG = int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\r\n")


class Malformed(Exception):
    pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise the header section and the body are two writes, and the second waits for the first one's acknowledgment.
    wbufsize = -1

    def serve(self):
        try:
            body = self.body()
        except Malformed:
            self.close_connection = True
            self.send_error(400)
            return
        line = {
            "method": self.command,
            "target": self.path,
            "id": self.headers.get("X-Id", ""),
            "length": len(body),
            "digest": hashlib.sha256(body).hexdigest(),
            "port": self.client_address[1],
        }
        os.write(LOG, (json.dumps(line) + "\n").encode())
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"served")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def handle_expect_100(self):
        result = super().handle_expect_100()
        self.wfile.flush()
        return result

    def body(self):
        coding = self.headers.get("Transfer-Encoding")
        lengths = self.headers.get_all("Content-Length", [])
        if coding is None:
            if len(lengths) > 1 or any(re.fullmatch("[0-9]+", each) is None for each in lengths):
                raise Malformed
            return self.read(int(lengths[0]) if lengths else 0)
        if coding.lower() != "chunked" or lengths:
            raise Malformed
        pieces = []
        while True:
            line = CHUNK_LINE.fullmatch(self.rfile.readline(65536))
            if line is None:
                raise Malformed
            length = int(line[1], 16)
            if length == 0:
                break
            pieces.append(self.read(length))
            if self.rfile.read(2) != b"\r\n":
                raise Malformed
        while self.rfile.readline(65536) not in (b"\r\n", b""):
            pass
        return b"".join(pieces)

    def read(self, length):
        body = self.rfile.read(length)
        if len(body) < length:
            raise Malformed
        return body

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    # Five, the default, refuses most connections that come at the same time.
    request_queue_size = 1024


server = Server(("127.0.0.1", PORT), Handler)
print("ready", flush=True)
server.serve_forever()
