"""httpx with HTTP/2 alone: GETs and POSTs, several at a time.    python httpx_client.py URL"""
import asyncio
import sys

import httpx

URL = sys.argv[1]


async def main():
    async with httpx.AsyncClient(http1=False, http2=True, timeout=60) as client:

        async def one(number):
            if number % 3 == 0:
                await client.post(f"{URL}/httpx/{number}", content=b"x" * (number * 100))
            else:
                await client.get(f"{URL}/httpx/{number}", params={"a": str(number)})

        for first in range(0, 200, 20):
            await asyncio.gather(*(one(number) for number in range(first, first + 20)))
        for length in (1, 1000, 16_384, 100_000, 10 << 20):
            await client.post(f"{URL}/httpx/post/{length}", content=b"x" * length)


asyncio.run(main())
