"""Stored weights come back within the error that is promised."""

import pytest
import torch

from generator_svc.storage.weights import pack, unpack


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    rows = torch.randn(96, 64) * torch.logspace(-3, 2, 96)[:, None]
    rows[5] = 0
    return {"matrix": rows, "vector": torch.randn(96), "small": torch.randn(4, 4), "index": torch.arange(5)}


def test_half_precision_comes_back(tensors):
    for name, value in unpack(pack(tensors)).items():
        torch.testing.assert_close(value, tensors[name], rtol=1e-3, atol=1e-6)


def test_eight_bits_err_by_less_than_half_a_step_of_their_row(tensors):
    packed = pack(tensors, "int8")
    assert packed["matrix"].dtype == torch.int8
    assert packed["small"].dtype == torch.float16
    back = unpack(packed)
    assert set(back) == set(tensors)
    step = tensors["matrix"].abs().amax(dim=1, keepdim=True) / 127
    assert ((back["matrix"] - tensors["matrix"]).abs() <= step / 2 + 1e-7).all()
    assert (back["matrix"][5] == 0).all()
    torch.testing.assert_close(back["index"], tensors["index"])


def test_unpacking_is_stable(tensors):
    """What was loaded and is stored again is the same, so that a copy of a bundle is one."""
    once = unpack(pack(tensors, "int8"))
    twice = unpack(pack(once, "int8"))
    torch.testing.assert_close(twice["matrix"], once["matrix"], rtol=1e-6, atol=0)
