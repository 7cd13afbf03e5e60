"""A proxy that loses replies, between workers and their server.

What is lost is the reply to a transaction that has committed, with a call of
the function in question in it.
"""

import socket
import threading
from pathlib import Path

# type and length of a message
HEADER = 5
CHUNK = 65536

# what a pooler says that has lost its server and keeps its client
UNKNOWN = (
    b"SERROR\0VERROR\0C08007\0M"
    b"transaction resolution unknown: the reply was lost\0\0"
)


class Proxy:
    """Passes on what it hears, but for the replies that it is to lose.

    hides_it    whether the client keeps its connection and gets an error in
                place of the reply; or else the connection is cut
    """

    def __init__(
        self, directory: Path, server: Path, function: str, hides_it: bool
    ) -> None:
        self._server = str(server)
        self._call = f"tasker_checkpoint_{function}".encode()
        self._hides_it = hides_it
        self._lock = threading.Lock()
        self._to_lose = 0
        self.lost = 0
        directory.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / server.name))
        self._listener.listen(50)
        self._sockets = [self._listener]
        self._start(self._accept)

    def lose(self, replies: int) -> None:
        """Lose so many replies from now on."""
        with self._lock:
            self._to_lose = replies

    def close(self) -> None:
        """Cut all connections, and accept no more."""
        for each in self._sockets:
            _cut(each)
            each.close()

    def _start(self, target: object, *arguments: object) -> None:
        threading.Thread(
            target=target,  # type: ignore[arg-type]
            args=arguments,
            daemon=True,
        ).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self._sockets += [client, server]
            called = threading.Event()
            try:
                server.connect(self._server)
            except OSError:
                _cut(client)
                continue
            self._start(self._forth, client, server, called)
            self._start(self._back, client, server, called)

    def _forth(
        self,
        client: socket.socket,
        server: socket.socket,
        called: threading.Event,
    ) -> None:
        """Client to server; notices the call."""
        end = b""
        while data := _receive(client):
            if self._call in end + data:
                called.set()
            end = data[1 - len(self._call) :]
            if not _send(server, data):
                break
        _cut(server)

    def _back(
        self,
        client: socket.socket,
        server: socket.socket,
        called: threading.Event,
    ) -> None:
        """Server to client, a message at a time; held back until it is ready
        for the next statement, if the call is on its way."""
        data, held = b"", b""
        has_failed = False
        while more := _receive(server):
            data += more
            while (message := _first(data)) is not None:
                data = data[len(message) :]
                held += message
                has_failed |= message[:1] == b"E"
                if message[:1] != b"Z" and called.is_set():
                    continue
                is_over = message[:1] == b"Z" and message[HEADER:] == b"I"
                if is_over and called.is_set():
                    called.clear()
                    if not has_failed and self._take():
                        if not self._hides_it:
                            _cut(client)
                            _cut(server)
                            return
                        size = (len(UNKNOWN) + 4).to_bytes(4, "big")
                        held = b"E" + size + UNKNOWN + message
                if is_over:
                    has_failed = False
                if not _send(client, held):
                    break
                held = b""
        _cut(client)

    def _take(self) -> bool:
        """Tell whether to lose this one."""
        with self._lock:
            if not self._to_lose:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True


def _first(data: bytes) -> bytes | None:
    """Return the first message, if it is there."""
    if len(data) < HEADER:
        return None
    size = 1 + int.from_bytes(data[1:HEADER], "big")
    return data[:size] if len(data) >= size else None


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(CHUNK)
    except OSError:
        return b""


def _send(target: socket.socket, data: bytes) -> bool:
    try:
        target.sendall(data)
    except OSError:
        return False
    return True


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
