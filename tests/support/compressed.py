"""The compressed protocol as bytes, for wire.Client and for a mute server that answers in it.

    with Client(port, caps=MODERN | COMPRESS) as c:      wire.py puts this on top of the socket
        c.query("select 1")
        c.sock.frames                                     what came, frame by frame

Frames: 3 bytes length, 1 byte number, 3 bytes uncompressed length (0: stored as it is).
"""
import dataclasses
import zlib

HEADER, FULL, MIN_LENGTH = 7, 0xFFFFFF, 50


@dataclasses.dataclass
class Frame:
    seq: int
    length: int              # on the wire, without the header
    uncompressed: int        # as declared; 0: stored


def squeeze(algorithm, data, level=None):
    if algorithm == "zlib":
        return zlib.compress(data, 6 if level is None else level)
    import zstandard
    return zstandard.ZstdCompressor(level=level or 3).compress(data)


def unsqueeze(algorithm, data, declared):
    if algorithm == "zlib":
        return zlib.decompress(data)
    import zstandard
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=declared)


def frame(seq, payload, uncompressed=0):
    """One frame as bytes, whatever it claims."""
    return (len(payload).to_bytes(3, "little") + bytes([seq & 255])
            + uncompressed.to_bytes(3, "little") + payload)


class Compressed:
    """A socket whose bytes travel in frames.  `seq` is the number of the next frame, either way;
    restart() begins a command."""

    def __init__(self, sock, algorithm, level=None, buffered=b""):
        self.sock, self.algorithm, self.level = sock, algorithm, level
        self.family = sock.family
        self.seq, self.raw, self.ready = 0, buffered, b""
        self.frames = []
        self.strict = True               # a frame's number must be the one that is due
        self.piece = FULL                # most that goes into one frame
        self.received = self.sent = 0    # on the wire

    def restart(self):
        self.seq = 0

    def pack(self, data):
        out = b""
        while data:
            piece, data = data[:self.piece], data[self.piece:]
            if len(piece) < MIN_LENGTH:
                out += frame(self.seq, piece)
            else:
                small = squeeze(self.algorithm, piece, self.level)
                out += (frame(self.seq, small, len(piece)) if len(small) < len(piece)
                        else frame(self.seq, piece))
            self.seq = (self.seq + 1) & 255
        return out

    def sendall(self, data):
        packed = self.pack(data)
        self.sent += len(packed)
        self.sock.sendall(packed)

    def _exactly(self, n):
        while len(self.raw) < n:
            piece = self.sock.recv(max(65536, n - len(self.raw)))
            if not piece:
                return None
            self.raw += piece
        taken, self.raw = self.raw[:n], self.raw[n:]
        self.received += n
        return taken

    def _next_frame(self):
        header = self._exactly(HEADER)
        payload = header and self._exactly(int.from_bytes(header[:3], "little"))
        if payload is None:
            return b""
        found = Frame(header[3], len(payload), int.from_bytes(header[4:], "little"))
        self.frames.append(found)
        if self.strict and found.seq != self.seq:
            raise ValueError(f"compressed frame {found.seq} where {self.seq} was due")
        self.seq = (found.seq + 1) & 255
        if found.uncompressed == 0:
            return payload
        data = unsqueeze(self.algorithm, payload, found.uncompressed)
        if len(data) != found.uncompressed:
            raise ValueError(f"{len(data)} bytes where {found.uncompressed} were declared")
        return data

    def recv(self, n):
        if not self.ready:
            self.ready = self._next_frame()
        taken, self.ready = self.ready[:n], self.ready[n:]
        return taken

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()
