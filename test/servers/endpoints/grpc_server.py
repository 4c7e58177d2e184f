"""A gRPC server without a schema: messages are bytes. Appends to LOG a JSON object for each call that has ended.

    python grpc_server.py PORT LOG [MILLISECONDS a message]
"""
import hashlib
import json
import os
import sys
import time
from concurrent import futures

import grpc

PORT, LOG = sys.argv[1:3]
DELAY_S = float(sys.argv[3]) / 1000 if len(sys.argv) > 3 else 0
log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def ended(context, kind, messages):
    fields = dict(context.invocation_metadata())
    digest = hashlib.sha256(b"".join(messages)).hexdigest()
    length = sum(len(message) for message in messages)
    line = {"method": "POST", "target": f"/test.Test/{kind}", "id": fields.get("x-id", ""), "length": length}
    os.write(log, (json.dumps({**line, "digest": digest, "messages": len(messages), "port": 0}) + "\n").encode())


def pause():
    time.sleep(DELAY_S)


def unary(request, context):
    pause()
    ended(context, "Unary", [request])
    return request


def client(requests, context):
    messages = []
    for request in requests:
        pause()
        messages.append(request)
    ended(context, "Client", messages)
    return b"done"


def server(request, context):
    count = int(request.split(b" ")[0])
    for number in range(count):
        pause()
        yield b"%d" % number
    ended(context, "Server", [request])


def both(requests, context):
    messages = []
    for request in requests:
        pause()
        messages.append(request)
        yield request
    ended(context, "Both", messages)


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Client": grpc.stream_unary_rpc_method_handler(client),
    "Server": grpc.unary_stream_rpc_method_handler(server),
    "Both": grpc.stream_stream_rpc_method_handler(both),
}

executor = futures.ThreadPoolExecutor(max_workers=64)
endpoint = grpc.server(executor, handlers=(grpc.method_handlers_generic_handler("test.Test", HANDLERS),))
endpoint.add_insecure_port(f"127.0.0.1:{PORT}")
endpoint.start()
print("ready", flush=True)
endpoint.wait_for_termination()
