"""Random header blocks of hpack (PyPI), with Huffman code, a dynamic table and changes of its size, for hpack-fuzz.ts.

    python hpack_blocks.py SEED CONNECTIONS    a connection a line: [[block in hex, [[name, value], …]], …]
"""
import json
import random
import sys

from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple

SEED, CONNECTIONS = (int(argument) for argument in sys.argv[1:3])
BLOCKS = 100
NAMES = [":method", ":path", ":authority", ":scheme", "cookie", "user-agent", "x-a", "x-long-name-of-a-field", "te"]
VALUES = ["", "GET", "/", "http", "a", "trailers", "x" * 126, "y" * 127, "z" * 300]

source = random.Random(SEED)


def text():
    if source.random() < 0.6:
        return source.choice(VALUES)
    return "".join(chr(source.randrange(256)) for _ in range(source.randrange(60))).encode("latin-1").decode("latin-1")


def field():
    kind = NeverIndexedHeaderTuple if source.random() < 0.1 else HeaderTuple
    return kind(source.choice(NAMES).encode(), text().encode("latin-1"))


for _ in range(CONNECTIONS):
    encoder = Encoder()
    blocks = []
    for _ in range(BLOCKS):
        if source.random() < 0.03:
            encoder.header_table_size = source.choice([0, 50, 256, 4096, 65536])
        fields = [field() for _ in range(source.randrange(12))]
        block = encoder.encode(fields, huffman=source.random() < 0.7)
        blocks.append([block.hex(), [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]])
    print(json.dumps(blocks))
