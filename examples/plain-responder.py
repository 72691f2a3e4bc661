"""A complete responder in Python: no open port and no library of h8s, only NATS.

    pip install nats-py
    python3 plain-responder.py nats://127.0.0.1:4222 localhost
    curl http://localhost:8080/python?name=you
"""

import asyncio
import json
import signal
import sys

import nats

REPEAT_SECONDS = 5  # A gateway forgets an announcement that is not repeated within a minute.


async def main(url, host):
    client = await nats.connect(url)
    # Subjects have the host's labels reversed, as in h8s.http.GET.com.example.api._.python; `_` divides host from path.
    backwards = ".".join(reversed(host.split(".")))

    async def answer(request):
        about = {
            "method": request.headers["X-H8s-Original-Method"],
            "path": request.headers["X-H8s-Original-Path"],
            "query": request.headers.get("X-H8s-Original-Query"),
            "body_bytes": len(request.data),
        }
        headers = {"Status-Code": "200", "Content-Type": "application/json", "X-Powered-By": "nats-py"}
        await client.publish(request.reply, (json.dumps(about) + "\n").encode(), headers=headers)

    # All copies of this program share one queue group, so each request reaches one of them.
    await client.subscribe(f"h8s.http.*.{backwards}._.python", queue="h8s", cb=answer)
    await client.subscribe(f"h8s.http.*.{backwards}._.python.>", queue="h8s", cb=answer)

    async def announce(action="register"):
        interest = json.dumps({"host": host, "path": "/python/*"}).encode()
        await client.publish(f"h8s.control.interest.{action}.{backwards}", interest)

    async def announce_when_asked(_):
        await announce()

    await client.subscribe("h8s.control.interest.list", cb=announce_when_asked)

    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await announce()
    await client.flush()
    print(f"answering http://{host}/python", flush=True)
    while not stopped.is_set():
        try:
            await asyncio.wait_for(stopped.wait(), REPEAT_SECONDS)
        except asyncio.TimeoutError:
            await announce()
    await announce("unregister")
    await client.drain()


asyncio.run(main(*sys.argv[1:]))
