"""proxy.py - a proxy in front of an S3 endpoint that counts requests and breaks what it is told to.

It passes every byte as it came (the Host header too: it is signed) but for what a fault says. Each
connection from a client has one to the endpoint. Faults are rules: the first whose match() likes a
request and whose times or share is not used up decides what happens to it.

    proxy.add("status", status=503, code="SlowDown", times=20)    this answer instead
    proxy.add("truncate", after=1000)       the promised length, but the end of the connection there
    proxy.add("reset", after=1000)          the same, with a RST
    proxy.add("shorten", by=1)              a shorter body, and a Content-Length that agrees with it
    proxy.add("flip")                       a body whose last byte is another one
    proxy.add("stall", after=0)             nothing more until the fault is removed
    proxy.add("delay", seconds=10)          the answer, so much later
    proxy.refuse() / proxy.accept()         as when nobody listens at the port
"""
import dataclasses
import random
import re
import socket
import struct
import threading
import time

HEAD_MAX = 1 << 16
BODY_CHUNK = 1 << 18
KINDS = ("status", "truncate", "reset", "shorten", "flip", "stall", "delay")


class Broken(Exception):
    """A connection ended, or has to."""


@dataclasses.dataclass
class Request:
    """One request as the proxy saw it. status and received are set while it is answered, ended
    (by time.monotonic()) when that is over."""
    method: str
    path: str
    query: str
    headers: dict
    client: str = ""  # its address
    status: int = 0
    received: int = 0  # body bytes passed on
    started: float = dataclasses.field(default_factory=time.monotonic)
    ended: float = None

    @property
    def is_list(self):
        return self.method == "GET" and "list-type" in self.query

    @property
    def is_get(self):
        """A GET of an object, not of a listing."""
        return self.method == "GET" and self.path.count("/") >= 2 and not self.is_list

    @property
    def byte_range(self):
        """(first, end) of a range request, else None."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2]) + 1) if found else None


@dataclasses.dataclass
class Fault:
    """A rule; see the top of the file. seen counts the requests that it hit."""
    kind: str
    match: object
    times: int = None  # None: without end
    share: float = 1.0
    after: int = 0
    by: int = 1
    seconds: float = 0
    status: int = 503
    code: str = "SlowDown"
    seen: int = 0
    removed: threading.Event = dataclasses.field(default_factory=threading.Event)


class Proxy:
    """Listens at address:port, all in threads of this process. close() ends them.

    @make_socket: what it listens with; network.Network has one that hosts can reach."""

    def __init__(self, upstream_port, seed=1, address="127.0.0.1", make_socket=socket.socket):
        self.address = address
        self.make_socket = make_socket
        self.upstream = ("127.0.0.1", upstream_port)
        self.requests = []
        self.concurrent_most = 0  # the most requests that were in hand at one moment
        self._concurrent = 0
        self._faults = []
        self.lock = threading.Lock()  # guards all of these, _sockets and _random
        self._random = random.Random(seed)
        self._sockets = set()
        self._closed = threading.Event()
        self._listener = None
        self.port = 0
        self.accept()

    @property
    def endpoint(self):
        return f"http://{self.address}:{self.port}"

    def add(self, kind, match=lambda request: request.is_get, **settings):
        assert kind in KINDS
        fault = Fault(kind, match, **settings)
        with self.lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault):
        with self.lock:
            self._faults.remove(fault)
        fault.removed.set()

    def clear(self):
        """Removes all faults."""
        with self.lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.removed.set()

    def refuse(self):
        """Nobody listens any more, and all connections are reset."""
        listener, self._listener = self._listener, None
        if listener:
            # shutdown() wakes the thread in accept(); close() alone would leave it there.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.disconnect()

    def accept(self):
        """Listens again, at the same port as before."""
        if self._listener:
            return
        listener = self.make_socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(512)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def disconnect(self):
        """Resets all connections that there are now."""
        with self.lock:
            sockets = list(self._sockets)
        for each in sockets:
            try:
                end_with_reset(each)
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
            except OSError:
                pass  # closed meanwhile

    def gets(self):
        """The GETs of objects so far."""
        with self.lock:
            return [request for request in self.requests if request.is_get]

    def forget(self):
        """Forgets the requests so far."""
        with self.lock:
            self.requests.clear()

    def close(self):
        self._closed.set()
        self.clear()
        self.refuse()

    def _listen(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = None
        try:
            server = socket.create_connection(self.upstream, timeout=60)
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self._sockets |= {client, server}
            from_client, from_server = Stream(client), Stream(server)
            while self._exchange(from_client, from_server):
                pass
        except (Broken, OSError):
            pass
        finally:
            with self.lock:
                self._sockets -= {client, server}
            client.close()
            if server:
                server.close()

    def _exchange(self, client, server):
        """One request and its answer. Return: whether the connection goes on."""
        head = client.read_head()
        if not head:
            return False
        request = parse_request(head)
        request.client = client.peer
        with self.lock:
            self.requests.append(request)
            fault = self._choose(request)
            self._concurrent += 1
            self.concurrent_most = max(self.concurrent_most, self._concurrent)
        try:
            return self._answer(request, fault, head, client.socket, server)
        finally:
            with self.lock:
                request.ended = time.monotonic()
                self._concurrent -= 1

    def _answer(self, request, fault, head, client, server):
        if fault and fault.kind == "status":
            return send_error(client, request, fault)
        if fault and fault.kind == "stall" and fault.after == 0:
            fault.removed.wait()
        if fault and fault.kind == "delay":
            self._closed.wait(fault.seconds)
        server.socket.sendall(head)
        return self._pass_answer(request, fault, client, server)

    def _choose(self, request):
        for fault in self._faults:
            if fault.times is not None and fault.seen >= fault.times:
                continue
            if not fault.match(request) or self._random.random() >= fault.share:
                continue
            fault.seen += 1
            return fault
        return None

    def _pass_answer(self, request, fault, client, server):
        head = server.read_head()
        if not head:
            raise Broken
        request.status = int(head.split(b" ", 2)[1])
        fields = parse_fields(head)
        if request.method == "HEAD" or request.status in (204, 304):
            client.sendall(head)
        elif fields.get("transfer-encoding", "").lower() == "chunked":
            client.sendall(head)
            self._pass_chunks(request, client, server)
        else:
            self._pass_body(request, fault, client, server, head, int(fields["content-length"]))
        return fields.get("connection", "").lower() != "close"

    def _pass_body(self, request, fault, client, server, head, length):
        """A body of a known length, cut as @fault says."""
        kind = fault.kind if fault else None
        passed = length
        if kind == "shorten":
            passed = max(length - fault.by, 0)
            head = re.sub(rb"(?i)(content-length:) *\d+", rb"\1 %d" % passed, head)
        elif kind in ("truncate", "reset", "stall"):
            passed = min(fault.after, length)
        elif kind == "flip":
            passed = max(length - 1, 0)
        client.sendall(head)
        self._copy(request, client, server, passed)
        if kind == "stall":
            fault.removed.wait()
            self._copy(request, client, server, length - passed)
        elif kind == "shorten":
            server.skip(length - passed)
        elif kind == "flip" and length:
            client.sendall(bytes([server.read_some(1)[0] ^ 1]))
            request.received += 1
        elif kind == "reset":
            end_with_reset(client)
        if kind in ("reset", "truncate"):
            raise Broken

    @staticmethod
    def _copy(request, client, server, length):
        while length:
            data = server.read_some(min(length, BODY_CHUNK))
            client.sendall(data)
            request.received += len(data)
            length -= len(data)

    def _pass_chunks(self, request, client, server):
        while True:
            line = server.read_line()
            client.sendall(line)
            size = int(line.split(b";")[0], 16)
            self._copy(request, client, server, size)
            client.sendall(server.read_line())
            if size == 0:
                return


class Stream:
    """What one end sends, by heads, lines and pieces."""

    def __init__(self, connection):
        self.socket = connection
        self.peer = connection.getpeername()[0]
        self._buffer = bytearray()

    def _fill(self):
        data = self.socket.recv(BODY_CHUNK)
        self._buffer += data
        return bool(data)

    def _take(self, size):
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _read_to(self, end):
        while end not in self._buffer:
            if len(self._buffer) > HEAD_MAX or not self._fill():
                raise Broken
        return self._take(self._buffer.index(end) + len(end))

    def read_head(self):
        """A request's or an answer's head; b"" when the connection ended before it."""
        if not self._buffer and not self._fill():
            return b""
        return self._read_to(b"\r\n\r\n")

    def read_line(self):
        return self._read_to(b"\r\n")

    def read_some(self, limit):
        if self._buffer:
            return self._take(limit)
        data = self.socket.recv(limit)
        if not data:
            raise Broken
        return data

    def skip(self, size):
        while size:
            size -= len(self.read_some(min(size, BODY_CHUNK)))


def parse_fields(head):
    fields = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields


def parse_request(head):
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    path, _, query = target.partition("?")
    return Request(method, path, query, parse_fields(head))


def send_error(client, request, fault):
    body = (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{fault.code}</Code>'
            f"<Message>said by the test</Message></Error>").encode()
    request.status = fault.status
    client.sendall(f"HTTP/1.1 {fault.status} Told\r\nContent-Type: application/xml\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n".encode()
                   + (b"" if request.method == "HEAD" else body))
    return True


def end_with_reset(connection):
    """Has close() send a RST rather than a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
