"""An ordinary local service with a WebSocket, without any code for h8s: it echoes each message.

    pip install websockets
    python3 websocket-backend.py 3000
"""

import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        await connection.send(f"{connection.request.path} heard {message}")


async def main(port):
    async with serve(echo, "127.0.0.1", port) as server:
        print("ready", flush=True)
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
