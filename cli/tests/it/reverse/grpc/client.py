"""A gRPC client for bytes. Arguments: the server's address, and a command. Prints the results."""

import sys
import threading

import grpc

address, *doing = sys.argv[1:]
# Without retries, so that failures are visible, and without the environment's proxies.
options = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
channel = grpc.insecure_channel(address, options)
unary = channel.unary_unary("/test.Bytes/Unary")
collect = channel.stream_unary("/test.Bytes/Collect")
repeat = channel.unary_stream("/test.Bytes/Repeat")
chat = channel.stream_stream("/test.Bytes/Chat")
fail = channel.unary_unary("/test.Bytes/Fail")
fail_late = channel.unary_stream("/test.Bytes/FailLate")
hang = channel.unary_unary("/test.Bytes/Hang")
go_on = channel.unary_stream("/test.Bytes/GoOn")
# Longer than any call takes, and shorter than the tests' deadline.
PATIENCE = 30


def say(*words):
    print(*words, flush=True)


def status(call):
    """The status of a call."""
    try:
        answer = call()
        say("answered", answer if isinstance(answer, bytes) else list(answer))
    except grpc.RpcError as error:
        say(error.code(), repr(error.details()), named(error.trailing_metadata()))


def named(metadata):
    """The metadata set by the server; gateways add their own."""
    names = ("initial", "x-text", "x-data", "x-empty", "trailing", "why", "said")
    return sorted((key, value) for key, value in metadata or [] if key.startswith(names))


def kinds():
    """Calls of each kind. The output must be the same with and without a gateway."""
    sent = [("x-text", "one"), ("x-text", "two, three"), ("x-data-bin", bytes(range(256))), ("x-empty", "")]
    answer, call = unary.with_call(b"hello", metadata=sent, timeout=PATIENCE)
    say("unary", answer, named(call.initial_metadata()), named(call.trailing_metadata()), call.code())
    for size in (0, 1, 16_384, 65_536, 5_000_000):
        data = bytes(number * 7 % 251 for number in range(size % 1000)) + b"x" * (size - size % 1000)
        say("size", size, unary(data, timeout=PATIENCE) == data[::-1])
    say("collect", collect(iter([b"a", b"", b"c" * 10]), timeout=PATIENCE), collect(iter([]), timeout=PATIENCE))
    say("repeat", list(repeat(b"5", timeout=PATIENCE)), list(repeat(b"0", timeout=PATIENCE)))
    say("order", list(repeat(b"20000", timeout=PATIENCE)) == [b"%d" % number for number in range(20000)])
    for text in (b"5:not here", b"16:who? \xc3\xbc%\n", b"7:", b"2:" + b"long " * 200):
        status(lambda: fail(text, timeout=PATIENCE))
    status(lambda: fail_late(b"", timeout=PATIENCE))
    status(lambda: channel.unary_unary("/test.Bytes/Nothing")(b"", timeout=PATIENCE))
    converse()
    many = [unary.future(b"%d" % number, timeout=PATIENCE) for number in range(200)]
    say("at once", all(call.result() == (b"%d" % number)[::-1] for number, call in enumerate(many)))


def converse():
    """Each response arrives before the next request is sent."""
    answered = threading.Semaphore(1)

    def requests():
        for word in (b"this", b"and", b"that"):
            answered.acquire()
            yield word

    call = chat(requests(), timeout=PATIENCE)
    for answer in call:
        say("chat", answer)
        answered.release()
    say("chat", call.code(), named(call.trailing_metadata()))


def cancel():
    call = go_on(b"", timeout=PATIENCE)
    say(next(call))
    call.cancel()
    status(lambda: call)


def stream():
    """Reads until the stream is ended by something else."""
    call = go_on(b"", timeout=PATIENCE)
    try:
        say(next(call))
        for _ in call:
            pass
        say("the stream has ended well")
    except grpc.RpcError as error:
        say(error.code())


match doing:
    case ["kinds"]:
        kinds()
    case ["unary"]:
        status(lambda: unary(b"hello", timeout=PATIENCE))
    case ["hang"]:
        status(lambda: hang(b""))
    case ["hang", seconds]:
        status(lambda: hang(b"", timeout=float(seconds)))
    case ["cancel"]:
        cancel()
    case ["stream"]:
        stream()
