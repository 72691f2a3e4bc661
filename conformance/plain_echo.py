"""Echoes every WebSocket message, in the plain dialect: one NATS message in, one out.

    python3 plain_echo.py nats://127.0.0.1:4222 localhost
"""

import asyncio
import sys

import nats

# The most messages in flight, of any size: the fuzzing client waits for each before it sends the next.
PENDING_BYTES = 1 << 30


async def main(url, host):
    client = await nats.connect(url, pending_size=64 * 1024 * 1024)
    # As in subjects: the labels of names are reversed, addresses are not, and dots separate tokens.
    is_address = host.replace(".", "").isdigit()
    backwards = host if is_address else ".".join(reversed(host.split(".")))

    async def echo(message):
        await client.publish(message.reply, message.data, headers={"H8s-Frame": message.headers["H8s-Frame"]})

    for subject in [f"h8s.ws.ws.{backwards}._", f"h8s.ws.ws.{backwards}._.>"]:
        await client.subscribe(subject, cb=echo, pending_bytes_limit=PENDING_BYTES)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
