"""A WebSocket server whose behaviour depends on the path. Prints its port, and how connections end."""

import asyncio
import contextlib
import http
import urllib.parse

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


# The printed headers of a request.
SEEN = {"host", "origin", "cookie", "authorization", "x-forwarded-for", "sec-websocket-extensions", "x-a"}


def say(*words):
    print(*words, flush=True)


def decide(connection, request):
    path = urllib.parse.urlsplit(request.path).path
    headers = [(key.lower(), value) for key, value in request.headers.raw_items()]
    say("asked", request.path, sorted(pair for pair in headers if pair[0] in SEEN))
    if path == "/refuse":
        refusal = connection.respond(http.HTTPStatus.UNAUTHORIZED, "not you\n")
        refusal.headers["WWW-Authenticate"] = "Basic"
        refusal.headers["X-Why"] = "no ticket"
        return refusal
    return None


def decorate(connection, request, response):
    response.headers["Set-Cookie"] = "seat=7"


async def handle(connection):
    words = urllib.parse.urlsplit(connection.request.path).path.split("/")[1:]
    match words:
        case ["close", code, reason]:
            await connection.close(int(code), urllib.parse.unquote(reason))
        case ["vanish"]:
            connection.transport.abort()
        case ["say", count]:
            for number in range(int(count)):
                await connection.send(str(number))
            await connection.close(1000, "all said")
        case ["ping"]:
            await (await connection.ping(b"are you there"))
            await connection.send("pong came")
        case ["stall"]:
            say("stalls")
            await connection.wait_closed()
        case _:
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    await connection.send(message)
    await connection.wait_closed()
    say("closed", words[0], connection.close_code, repr(connection.close_reason))


async def main():
    async with serve(
        handle,
        "127.0.0.1",
        0,
        subprotocols=["v2", "v1"],
        process_request=decide,
        process_response=decorate,
        max_size=None,
        close_timeout=2,
    ) as server:
        say("port", server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
