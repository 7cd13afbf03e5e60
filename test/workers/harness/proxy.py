"""A proxy that loses replies, or everything, between workers and a server.

A reply that is lost is the one to a transaction that has committed, with a
call of the function in question in it.  A link that is dead stays open, and
whatever is sent over it, from either side, arrives nowhere.
"""

import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

# type and length of a message
HEADER = 5
CHUNK = 65536

# what a pooler says that has lost its server and keeps its client
UNKNOWN = (
    b"SERROR\0VERROR\0C08007\0M"
    b"transaction resolution unknown: the reply was lost\0\0"
)


@dataclass(eq=False)
class _Link:
    """A connection of a client, and the proxy's own to the server."""

    client: socket.socket
    server: socket.socket
    called: threading.Event = field(default_factory=threading.Event)
    dead: bool = False

    def cut(self, end: socket.socket) -> None:
        """Tell one end that the other is gone, unless nothing arrives."""
        if not self.dead:
            _cut(end)


class Proxy:
    """Passes on what it hears, but for what it is to lose.

    function    whose replies are to be lost; none if it is empty
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
        self._links: list[_Link] = []
        self._start(self._accept)

    def lose(self, replies: int) -> None:
        """Lose so many replies from now on."""
        with self._lock:
            self._to_lose = replies

    def die(self) -> int:
        """Let nothing arrive on the links there are; return how many."""
        with self._lock:
            for link in self._links:
                link.dead = True
            return len(self._links)

    def close(self) -> None:
        """Cut all connections, and accept no more."""
        _cut(self._listener)
        self._listener.close()
        for link in self._links:
            for end in (link.client, link.server):
                _cut(end)
                end.close()

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
            link = _Link(client, socket.socket(socket.AF_UNIX))
            with self._lock:
                self._links.append(link)
            try:
                link.server.connect(self._server)
            except OSError:
                _cut(client)
                continue
            self._start(self._forth, link)
            self._start(self._back, link)

    def _forth(self, link: _Link) -> None:
        """Client to server; notices the call."""
        end = b""
        while data := _receive(link.client):
            if link.dead:
                continue
            if self._call in end + data:
                link.called.set()
            end = data[1 - len(self._call) :]
            if not _send(link.server, data):
                break
        link.cut(link.server)

    def _back(self, link: _Link) -> None:
        """Server to client, a message at a time; held back until it is ready
        for the next statement, if the call is on its way."""
        data, held = b"", b""
        has_failed = False
        while more := _receive(link.server):
            if link.dead:
                continue
            data += more
            while (message := _first(data)) is not None:
                data = data[len(message) :]
                held += message
                has_failed |= message[:1] == b"E"
                if message[:1] != b"Z" and link.called.is_set():
                    continue
                is_over = message[:1] == b"Z" and message[HEADER:] == b"I"
                if is_over and link.called.is_set():
                    link.called.clear()
                    if not has_failed and self._take():
                        if not self._hides_it:
                            _cut(link.client)
                            _cut(link.server)
                            return
                        size = (len(UNKNOWN) + 4).to_bytes(4, "big")
                        held = b"E" + size + UNKNOWN + message
                if is_over:
                    has_failed = False
                if not _send(link.client, held):
                    break
                held = b""
        link.cut(link.client)

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
