"""The server of node.mjs as an application of hypercorn; LOG is in the environment."""
import hashlib
import json
import os

LOG = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    fields = dict(scope["headers"])
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    line = {
        "method": scope["method"],
        "target": target.decode("latin-1"),
        "id": fields.get(b"x-id", b"").decode("latin-1"),
        "length": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        "port": (scope.get("client") or ("", 0))[1],
    }
    os.write(LOG, (json.dumps(line) + "\n").encode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"served"})
