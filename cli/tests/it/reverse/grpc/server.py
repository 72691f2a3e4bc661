"""A gRPC server for bytes. Prints its port, and calls that are cancelled."""

import threading
from concurrent import futures

import grpc


def say(*words):
    print(*words, flush=True)


def told(context):
    """The client's metadata, in a form that can be sent back."""
    return [pair for pair in context.invocation_metadata() if pair.key in ("x-text", "x-data-bin", "x-empty")]


def unary(request, context):
    context.send_initial_metadata([("initial", "first"), ("initial", "second"), *told(context)])
    context.set_trailing_metadata([("trailing-bin", b"\x00\xff\n"), ("trailing", "last words, with spaces")])
    return request[::-1]


def collect(requests, context):
    return b"+".join(requests)


def repeat(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def chat(requests, context):
    for request in requests:
        yield request.upper()
    context.set_trailing_metadata([("said", "all")])


def fail(request, context):
    code, message = request.decode().split(":", 1)
    context.set_trailing_metadata([("why-bin", request)])
    code = next(each for each in grpc.StatusCode if each.value[0] == int(code))
    context.abort(code, message)


def fail_late(request, context):
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "after two")


def hang(request, context):
    """Waits until the client has gone."""
    gone = threading.Event()
    context.add_callback(gone.set)
    say("hangs, with seconds left:", context.time_remaining())
    gone.wait()
    say("hung up")
    return b""


def go_on(request, context):
    """An endless stream."""
    gone = threading.Event()
    context.add_callback(gone.set)
    context.add_callback(lambda: say("stopped"))
    yield b"begun"
    say("goes on")
    while not gone.wait(0.02):
        yield b"more"


METHODS = {
    "/test.Bytes/Unary": grpc.unary_unary_rpc_method_handler(unary),
    "/test.Bytes/Collect": grpc.stream_unary_rpc_method_handler(collect),
    "/test.Bytes/Repeat": grpc.unary_stream_rpc_method_handler(repeat),
    "/test.Bytes/Chat": grpc.stream_stream_rpc_method_handler(chat),
    "/test.Bytes/Fail": grpc.unary_unary_rpc_method_handler(fail),
    "/test.Bytes/FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "/test.Bytes/Hang": grpc.unary_unary_rpc_method_handler(hang),
    "/test.Bytes/GoOn": grpc.unary_stream_rpc_method_handler(go_on),
}


class Bytes(grpc.GenericRpcHandler):
    def service(self, details):
        return METHODS.get(details.method)


options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[Bytes()], options=options)
say("port", server.add_insecure_port("127.0.0.1:0"))
server.start()
server.wait_for_termination()
