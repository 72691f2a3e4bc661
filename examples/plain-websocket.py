"""Answers WebSocket messages, and pushes messages of its own: no open port and no library of h8s, only NATS.

    pip install nats-py
    python3 plain-websocket.py nats://127.0.0.1:4222 localhost
    websocat ws://localhost:8080/clock        # or any other WebSocket client

The shortest version is one line in a shell: nats reply 'h8s.ws.ws.localhost._.>' 'received'
"""

import asyncio
import json
import signal
import sys

import nats

PUSH_SECONDS = 1


async def main(url, host):
    client = await nats.connect(url)
    backwards = ".".join(reversed(host.split(".")))
    inboxes = {}  # The push inbox of each connection, known from its first message on.

    async def answer(message):
        connection = message.headers["X-H8s-Connection"]
        inboxes[connection] = message.reply
        if message.headers["H8s-Frame"] == "text":
            await client.publish(message.reply, b"you said: " + message.data, headers={"H8s-Frame": "text"})
        else:
            await client.publish(message.reply, message.data[::-1], headers={"H8s-Frame": "binary"})

    async def forget(closed):
        inboxes.pop(json.loads(closed.data)["connection"], None)

    # No queue group: it would distribute one connection's messages among several copies of this program.
    await client.subscribe(f"h8s.ws.ws.{backwards}._", cb=answer)
    await client.subscribe(f"h8s.ws.ws.{backwards}._.>", cb=answer)
    await client.subscribe(f"h8s.control.ws.conn.closed.{backwards}", cb=forget)

    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await client.flush()
    print(f"answering ws://{host}/", flush=True)
    while not stopped.is_set():
        try:
            await asyncio.wait_for(stopped.wait(), PUSH_SECONDS)
        except asyncio.TimeoutError:
            for inbox in inboxes.values():
                await client.publish(inbox, b"still here")  # A text message: UTF-8 without an H8s-Frame header.
    await client.drain()


asyncio.run(main(*sys.argv[1:]))
