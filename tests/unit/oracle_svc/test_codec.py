import numpy as np
import pytest

from oracle_svc.codec import CodecError, decode, encode

RECORD = {
    "energy": -3.66797,
    "name": "NaCl",
    "nothing": None,
    "vector": np.linspace(0.0, 1.0, 7),
    "image": np.arange(6, dtype=np.int32).reshape(2, 3),
    "empty": np.zeros((0, 3), dtype=np.float32),
}


def test_what_is_encoded_is_decoded():
    record = decode(encode(RECORD))
    assert record.keys() == RECORD.keys()
    for name, value in RECORD.items():
        if isinstance(value, np.ndarray):
            assert record[name].dtype == value.dtype
            np.testing.assert_array_equal(record[name], value)
        else:
            assert record[name] == value


def test_doubles_survive_bit_for_bit():
    values = np.array([0.1, -0.0, np.nan, np.inf, 5e-324])
    assert decode(encode({"v": values}))["v"].tobytes() == values.tobytes()


def test_no_flipped_bit_is_ever_read_as_a_value():
    data = encode(RECORD)
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        with pytest.raises(CodecError):
            decode(bytes(broken))


@pytest.mark.parametrize("cut", [0, 3, 20, -1])
def test_a_torn_record_is_refused(cut):
    with pytest.raises(CodecError):
        decode(encode(RECORD)[:cut])


def test_an_object_cannot_be_encoded():
    with pytest.raises(CodecError):
        encode({"crystal": object()})
    with pytest.raises(CodecError):
        encode({"names": np.array(["a", "b"])})
