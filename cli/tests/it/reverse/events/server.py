"""Serves a page, its events at /events, and POST /say, which causes one. Prints its port, and closed event streams."""

import http.server
import queue
import select
import socket

PAGE = b"""<!doctype html><ul></ul><script>
new EventSource("/events").onmessage = event => {
  const item = document.createElement("li");
  item.textContent = event.data;
  document.querySelector("ul").append(item);
};
</script>"""

pages = []


def say(*words):
    print(*words, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/events":
            self.events()
        else:
            self.answer("text/html", PAGE)

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for page in pages:
            page.put(text)
        self.answer("text/plain", b"said")

    def events(self):
        mine = queue.Queue()
        mine.put("welcome")
        pages.append(mine)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.is_left():
            try:
                self.wfile.write(f"data: {mine.get(timeout=0.02)}\n\n".encode())
            except queue.Empty:
                pass
        pages.remove(mine)
        say("left")
        self.close_connection = True

    def is_left(self):
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
say("port", server.server_address[1])
server.serve_forever()
