"""Crystals and arrays to and from their messages."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xenolith.crystal import CrystalBatch
from xenolith.errors import CrystalError, InvalidArgumentError, invalid_field
from xenolith.v1 import crystal_pb2

__all__ = [
    "batch_from_proto",
    "batch_to_proto",
    "dtype_of",
    "numpy_dtype",
    "shape_fault",
    "tensor_from_proto",
    "tensor_to_proto",
]

_NUMPY: dict[int, np.dtype[np.generic]] = {
    crystal_pb2.DTYPE_FLOAT32: np.dtype("<f4"),
    crystal_pb2.DTYPE_FLOAT64: np.dtype("<f8"),
    crystal_pb2.DTYPE_FLOAT16: np.dtype("<f2"),
    crystal_pb2.DTYPE_INT32: np.dtype("<i4"),
    crystal_pb2.DTYPE_INT64: np.dtype("<i8"),
    crystal_pb2.DTYPE_UINT8: np.dtype("u1"),
    crystal_pb2.DTYPE_BOOL: np.dtype("?"),
}
_MOST_DIMENSIONS, _LARGEST_EXTENT = 16, 2**40
_WIRE = {dtype: number for number, dtype in _NUMPY.items()}
# numpy has no bfloat16: its bits travel as 16-bit words and are widened to float32 on arrival, which is
# exact.
_BFLOAT16_BITS = np.dtype("<u2")


def batch_to_proto(batch: CrystalBatch) -> crystal_pb2.CrystalBatch:
    """Return the message of a batch."""
    return crystal_pb2.CrystalBatch(
        num_atoms=batch.num_atoms.tolist(),
        lattices=batch.lattices.ravel().tolist(),
        numbers=batch.numbers.tolist(),
        frac_coords=batch.frac_coords.ravel().tolist(),
    )


def batch_from_proto(message: crystal_pb2.CrystalBatch, field: str = "crystals") -> CrystalBatch:
    """Return the batch of a message.

    Parameters
    ----------
    message
        Columns as they came.
    field
        Path of the message in its request, for the error.

    Raises
    ------
    InvalidArgumentError
        If the columns do not fit together, or hold site occupancies (disorder), which this version does not
        measure.
    """
    if message.HasField("occupancies"):
        raise invalid_field(
            f"{field}.occupancies", "site occupancies are not supported; send ordered crystals without them"
        )
    structures = len(message.num_atoms)
    if len(message.lattices) != 9 * structures:
        raise invalid_field(
            f"{field}.lattices",
            f"has {len(message.lattices)} numbers, expected 9 for each of {structures} structures",
        )
    if len(message.frac_coords) % 3:
        raise invalid_field(
            f"{field}.frac_coords", f"has {len(message.frac_coords)} numbers, which is no multiple of 3"
        )
    try:
        return CrystalBatch(
            num_atoms=np.array(message.num_atoms, dtype=np.int32),
            lattices=np.array(message.lattices, dtype=np.float64).reshape(-1, 3, 3),
            numbers=np.array(message.numbers, dtype=np.int32),
            frac_coords=np.array(message.frac_coords, dtype=np.float64).reshape(-1, 3),
        )
    except CrystalError as error:
        raise invalid_field(
            f"{field}.{error.field}", error.message.removeprefix(f"{error.field} ")
        ) from error


def tensor_to_proto(array: npt.ArrayLike) -> crystal_pb2.Tensor:
    """Return the message of an array of any shape.

    Raises
    ------
    InvalidArgumentError
        If the contract has no element type for it.
    """
    values = np.asarray(array)
    return crystal_pb2.Tensor(
        dtype=dtype_of(values),  # type: ignore[arg-type]  # an int is an enum's value
        shape=values.shape,
        data=np.ascontiguousarray(values, _little(values)).tobytes(),
    )


def tensor_from_proto(message: crystal_pb2.Tensor, field: str = "tensor") -> npt.NDArray[np.generic]:
    """Return the array of a message: read-only, over the message's own bytes; bfloat16 becomes float32.

    Raises
    ------
    InvalidArgumentError
        If type, shape and bytes do not fit together.
    """
    if message.dtype != crystal_pb2.DTYPE_BFLOAT16 and message.dtype not in _NUMPY:
        raise invalid_field(f"{field}.dtype", f"element type {message.dtype} is unknown")
    if fault := shape_fault(message.shape):
        raise invalid_field(f"{field}.shape", fault)
    dtype = numpy_dtype(message.dtype)
    expected = math.prod(message.shape) * dtype.itemsize
    if len(message.data) != expected:
        raise invalid_field(f"{field}.data", f"has {len(message.data)} bytes, shape and type need {expected}")
    return decoded(message.data, message.dtype, tuple(message.shape))


def shape_fault(shape: Sequence[int]) -> str:
    """Return what is wrong with the shape of an array in itself, empty if nothing is."""
    if len(shape) > _MOST_DIMENSIONS:
        return f"has {len(shape)} dimensions, more than {_MOST_DIMENSIONS}"
    for extent in shape:
        if extent < 0:
            return f"has the negative extent {extent}"
        if extent > _LARGEST_EXTENT:
            return f"has the extent {extent}, more than {_LARGEST_EXTENT}"
    return ""


def decoded(data: bytes | memoryview, dtype: int, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """Return checked bytes as an array."""
    array = np.frombuffer(data, dtype=numpy_dtype(dtype)).reshape(shape)
    if dtype == crystal_pb2.DTYPE_BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def dtype_of(array: npt.NDArray[np.generic]) -> int:
    """Return the wire's element type of an array."""
    try:
        return _WIRE[_little(array)]
    except KeyError:
        raise InvalidArgumentError(
            f"an array of {array.dtype} cannot be sent; convert it to float32"
        ) from None


def numpy_dtype(dtype: int) -> np.dtype[np.generic]:
    """Return numpy's type of the bytes of a wire type."""
    return _BFLOAT16_BITS if dtype == crystal_pb2.DTYPE_BFLOAT16 else _NUMPY[dtype]


def _little(array: npt.NDArray[np.generic]) -> np.dtype[np.generic]:
    return array.dtype.newbyteorder("<")
