"""The server of node.mjs as an application of uWSGI and gunicorn; LOG is in the environment."""
import hashlib
import json
import os

LOG = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def application(environ, start_response):
    pieces = list(iter(lambda: environ["wsgi.input"].read(65536), b"")) if has_body(environ) else []
    body = b"".join(pieces)
    line = {
        "method": environ["REQUEST_METHOD"],
        "target": environ.get("RAW_URI") or environ.get("REQUEST_URI"),
        "id": environ.get("HTTP_X_ID", ""),
        "length": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        # uWSGI's own port is not the client's.
        "port": int(environ["REMOTE_PORT"]) if "gunicorn" in environ.get("SERVER_SOFTWARE", "") else 0,
    }
    os.write(LOG, (json.dumps(line) + "\n").encode())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"served"]


def has_body(environ):
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ
