"""A gRPC client of grpc_server.py: calls of all four kinds, several at a time. The channel is closed at once behind them.

    python grpc_client.py PORT CALLS MESSAGES
"""
import sys
from concurrent import futures

import grpc

PORT, CALLS, MESSAGES = (int(argument) for argument in sys.argv[1:4])

with grpc.insecure_channel(f"127.0.0.1:{PORT}") as channel:
    unary = channel.unary_unary("/test.Test/Unary")
    client = channel.stream_unary("/test.Test/Client")
    server = channel.unary_stream("/test.Test/Server")
    both = channel.stream_stream("/test.Test/Both")

    def call(number):
        metadata = (("x-id", str(number)),)
        messages = [b"%d of %d" % (i, number) for i in range(MESSAGES)]
        kind = number % 4
        if kind == 0:
            unary(b"x" * (number % 3000), metadata=metadata)
        elif kind == 1:
            client(iter(messages), metadata=metadata)
        elif kind == 2:
            list(server(b"%d" % MESSAGES, metadata=metadata))
        else:
            list(both(iter(messages), metadata=metadata))

    with futures.ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(call, range(CALLS)))
