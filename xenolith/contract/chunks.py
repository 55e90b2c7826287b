"""Tensors as a stream of messages: a header, chunks of bytes in order, a checksum last. Both directions."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from xenolith.contract.bounds import check_bounded
from xenolith.contract.wire import decoded, dtype_of, numpy_dtype, shape_fault
from xenolith.errors import DataLossError, FieldViolation, InvalidArgumentError
from xenolith.v1 import crystal_pb2, generator_pb2

__all__ = ["CHUNK_BYTES", "ReceivedWeights", "WeightsReceiver", "send_weights"]

CHUNK_BYTES = 2**20
"""Bytes in a chunk: 1 to 2 MiB is several times faster than smaller or much larger ones."""

Part = TypeVar("Part", generator_pb2.UpdateWeightsRequest, generator_pb2.GetWeightsResponse)
Arrays = Mapping[str, npt.NDArray[np.generic]]


def send_weights(
    message_type: type[Part],
    header: generator_pb2.WeightsHeader,
    tensors: Arrays,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Part]:
    """Yield the messages that carry `tensors`.

    Parameters
    ----------
    message_type
        ``UpdateWeightsRequest`` or ``GetWeightsResponse``.
    header
        Versions, kind, configuration; its list of tensors and its size are filled in here.
    tensors
        Arrays by name, in the order in which they travel.
    chunk_bytes
        Size of a chunk.
    """
    opened = generator_pb2.WeightsHeader()
    opened.CopyFrom(header)
    opened.ClearField("tensors")
    for name, array in tensors.items():
        opened.tensors.add(name=name, dtype=dtype_of(array), shape=array.shape)
    opened.total_bytes = sum(array.nbytes for array in tensors.values())
    yield message_type(header=opened)
    digest, offset = hashlib.sha256(), 0
    for data in _pieces(tensors, chunk_bytes):
        digest.update(data)
        yield message_type(chunk=generator_pb2.WeightsChunk(offset=offset, data=data))
        offset += len(data)
    yield message_type(trailer=generator_pb2.WeightsTrailer(sha256=digest.hexdigest()))


def _pieces(tensors: Arrays, size: int) -> Iterator[bytes]:
    """Yield the tensors' bytes in pieces of `size`; small tensors share a piece."""
    pending = bytearray()
    for array in tensors.values():
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data
        for start in range(0, len(data), size):
            pending += data[start : start + size]
            while len(pending) >= size:
                yield bytes(pending[:size])
                del pending[:size]
    if pending:
        yield bytes(pending)


@dataclass(frozen=True, kw_only=True)
class ReceivedWeights:
    """A stream that arrived whole."""

    header: generator_pb2.WeightsHeader
    """As sent."""
    tensors: dict[str, npt.NDArray[np.generic]]
    """Arrays by name, in the header's order; read-only."""
    sha256: str
    """Digest of all bytes, verified."""


@dataclass(kw_only=True)
class WeightsReceiver:
    """Stages a stream of weights message by message; nothing is handed out before the checksum matches.

    Examples
    --------
    >>> receiver = WeightsReceiver()
    >>> for message in messages: receiver.add(message)      # doctest: +SKIP
    >>> weights = receiver.finish()                         # doctest: +SKIP
    """

    max_bytes: int = 2**33
    """Largest stream accepted, bytes."""
    max_tensors: int = 100_000
    """Most tensors in it."""
    header: generator_pb2.WeightsHeader | None = None
    """The header, once it has arrived: look at it early to refuse a stream before its bytes come."""
    _data: bytearray = field(default_factory=bytearray)
    _sha256: str = ""

    def add(self, message: generator_pb2.UpdateWeightsRequest | generator_pb2.GetWeightsResponse) -> None:
        """Take the next message.

        Raises
        ------
        InvalidArgumentError
            If it is out of order, or not what the header announced.
        """
        part = message.WhichOneof("part")
        if self._sha256:
            raise _wrong("trailer", "was followed by another message")
        if (part == "header") != (self.header is None):
            raise _wrong("header", "must be the first message, and only the first")
        if part == "header":
            self._open(message.header)
        elif part == "chunk":
            self._append(message.chunk)
        elif part == "trailer":
            self._sha256 = message.trailer.sha256
        else:
            raise _wrong("part", "is empty")

    def finish(self) -> ReceivedWeights:
        """Verify, and return the tensors.

        Raises
        ------
        InvalidArgumentError
            If the stream ended early.
        DataLossError
            If the checksum does not match.
        """
        if self.header is None or not self._sha256:
            raise _wrong("trailer", "is missing: the stream ended early")
        if len(self._data) != self.header.total_bytes:
            raise _wrong(
                "chunk.data", f"came to {len(self._data)} bytes, announced were {self.header.total_bytes}"
            )
        actual = hashlib.sha256(self._data).hexdigest()
        if actual != self._sha256:
            raise DataLossError(
                f"weights arrived damaged: checksum {actual}, sent was {self._sha256}; send them again"
            )
        return ReceivedWeights(header=self.header, tensors=self._tensors(self.header), sha256=actual)

    def _open(self, header: generator_pb2.WeightsHeader) -> None:
        # Counted first: every look at a tensor costs, and a header can name millions.
        if len(header.tensors) > self.max_tensors:
            raise _wrong("header.tensors", f"has {len(header.tensors)} entries, more than {self.max_tensors}")
        check_bounded(header, entries=self.max_tensors)
        names = [spec.name for spec in header.tensors]
        if len(set(names)) != len(names):
            raise _wrong("header.tensors", "names a tensor twice")
        expected = sum(_nbytes(spec) for spec in header.tensors)
        if header.total_bytes != expected:
            raise _wrong("header.total_bytes", f"is {header.total_bytes}, the tensors need {expected}")
        if expected > self.max_bytes:
            raise _wrong("header.total_bytes", f"is {expected}, more than the {self.max_bytes} accepted")
        self.header = header

    def _append(self, chunk: generator_pb2.WeightsChunk) -> None:
        if chunk.offset != len(self._data):
            raise _wrong(
                "chunk.offset", f"is {chunk.offset}, expected {len(self._data)}: chunks come in order"
            )
        if self.header is None or len(self._data) + len(chunk.data) > self.header.total_bytes:
            raise _wrong("chunk.data", "holds more bytes than the header announced")
        self._data += chunk.data

    def _tensors(self, header: generator_pb2.WeightsHeader) -> dict[str, npt.NDArray[np.generic]]:
        view, offset = memoryview(bytes(self._data)), 0
        tensors = {}
        for spec in header.tensors:
            end = offset + _nbytes(spec)
            tensors[spec.name] = decoded(view[offset:end], spec.dtype, tuple(spec.shape))
            offset = end
        return tensors


def _nbytes(spec: crystal_pb2.TensorSpec) -> int:
    if fault := shape_fault(spec.shape):
        raise _wrong("header.tensors", f"gives {spec.name} a shape that {fault}")
    try:
        return math.prod(spec.shape) * numpy_dtype(spec.dtype).itemsize
    except KeyError:
        raise _wrong("header.tensors", f"gives {spec.name} the unknown element type {spec.dtype}") from None


def _wrong(field_path: str, description: str) -> InvalidArgumentError:
    violation = FieldViolation(field=field_path, description=description)
    return InvalidArgumentError(f"weights: {field_path} {description}", violations=[violation])
