import numpy as np
import pytest

from xenolith import Crystal, CrystalBatch
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_from_proto, tensor_to_proto
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import crystal_pb2


def batch() -> CrystalBatch:
    odd = Crystal(
        lattice=np.full((3, 3), np.nan), numbers=[0, 119], frac_coords=[[np.inf, 0, 0], [-7.5, 0, 1]]
    )
    return CrystalBatch.from_crystals([odd, Crystal(lattice=np.eye(3), numbers=[], frac_coords=[])])


def test_any_batch_survives_the_wire() -> None:
    sent = batch_to_proto(batch()).SerializeToString()
    assert batch_from_proto(crystal_pb2.CrystalBatch.FromString(sent)) == batch()
    assert len(batch_from_proto(crystal_pb2.CrystalBatch())) == 0


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"num_atoms": [1]}, "crystals.lattices"),
        ({"num_atoms": [-1], "lattices": [0.0] * 9}, "crystals.num_atoms"),
        ({"num_atoms": [1], "lattices": [0.0] * 9, "numbers": [1, 2]}, "crystals.numbers"),
        ({"num_atoms": [1], "lattices": [0.0] * 9, "numbers": [1]}, "crystals.frac_coords"),
        ({"frac_coords": [0.0]}, "crystals.frac_coords"),
        ({"occupancies": crystal_pb2.SiteOccupancies()}, "crystals.occupancies"),
        ({"num_atoms": [2**31 - 1, 2**31 - 1], "lattices": [0.0] * 18, "numbers": [1]}, "crystals.numbers"),
    ],
)
def test_inconsistent_columns_name_the_field(message: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        batch_from_proto(crystal_pb2.CrystalBatch(**message))  # type: ignore[arg-type]
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4", "i8", "u1", "?", ">f4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_any_tensor_survives_the_wire(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype(dtype)
    back = tensor_from_proto(tensor_to_proto(array))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("<")


def test_bytes_are_little_endian_rows() -> None:
    message = tensor_to_proto(np.array([[1, 2], [3, 4]], dtype=">i4").T)
    assert message.data == b"\1\0\0\0\3\0\0\0\2\0\0\0\4\0\0\0"


def test_bfloat16_becomes_float32() -> None:
    bits = (np.array([1.5, -2.0, 3.140625], np.float32).view(np.uint32) >> 16).astype("<u2")
    message = crystal_pb2.Tensor(dtype=crystal_pb2.DTYPE_BFLOAT16, shape=[3], data=bits.tobytes())
    back = tensor_from_proto(message)
    assert back.dtype == np.float32
    assert back.tolist() == [1.5, -2.0, 3.140625]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"dtype": 0}, "t.dtype"),
        ({"dtype": 99}, "t.dtype"),
        ({"dtype": 1, "shape": [-1]}, "t.shape"),
        ({"dtype": 1, "shape": [2], "data": b"1234567"}, "t.data"),
    ],
)
def test_wrong_tensors_name_the_field(message: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        tensor_from_proto(crystal_pb2.Tensor(**message), "t")  # type: ignore[arg-type]


def test_types_outside_the_contract_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="complex128 cannot be sent"):
        tensor_to_proto(np.array([1j]))
