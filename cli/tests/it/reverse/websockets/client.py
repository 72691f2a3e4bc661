"""A WebSocket client. Argument: the server's address. Prints what it receives: the same with and without a gateway."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

[address] = sys.argv[1:]


def say(*words):
    print(*words, flush=True)


def at(path, **options):
    return connect(f"ws://{address}{path}", subprotocols=["v3", "v1"], max_size=None, proxy=None, **options)


async def echo():
    async with at("/echo?q=%20&x", additional_headers={"X-A": "b", "Cookie": "c=d"}) as ours:
        say("subprotocol", ours.subprotocol, "cookie", ours.response.headers["Set-Cookie"])
        for message in ("", "text ü \U0001f980", b"", bytes(range(256)), "x" * 70_000, b"y" * 900_000):
            await ours.send(message)
            say("echo", type(message).__name__, len(message), await ours.recv() == message)
        await ours.send(["frag", "men", "", "ts"])
        say("fragments", await ours.recv())
        say("order", await in_order(ours))
        await (await ours.ping(b"mine"))
        say("pong")


async def in_order(ours):
    async def send():
        for number in range(10_000):
            await ours.send(str(number))

    sending = asyncio.create_task(send())
    received = [await ours.recv() for _ in range(10_000)]
    await sending
    return received == [str(number) for number in range(10_000)]


async def said():
    async with at("/say/10000") as ours:
        say("said", [message async for message in ours] == [str(number) for number in range(10_000)])
        say(ours.close_code, ours.close_reason)


async def closed_by_the_server():
    for path in ("1000/", "1001/going", "1011/broken", "3000/three", "4999/%C3%BC"):
        async with at(f"/close/{path}") as ours:
            try:
                await ours.recv()
            except ConnectionClosed:
                say("closed", path, ours.close_code, repr(ours.close_reason))


async def closed_by_us():
    for code, reason in ((1000, ""), (1001, "going"), (3000, "three"), (4999, "ü" * 61)):
        async with at(f"/ours/{code}") as ours:
            await ours.close(code, reason)
            say("we closed", ours.close_code, repr(ours.close_reason))


async def refused():
    try:
        async with at("/refuse"):
            say("not refused")
    except InvalidStatus as refusal:
        response = refusal.response
        say("refused", response.status_code, response.headers["X-Why"], response.headers["WWW-Authenticate"], response.body)


async def main():
    await echo()
    await said()
    await closed_by_the_server()
    await closed_by_us()
    await refused()
    async with at("/ping") as ours:
        say(await ours.recv())


asyncio.run(main())
