"""The calls of the generator that move weights."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from xenolith.client.transport.calls import Collect, Upload, deadline
from xenolith.contract.chunks import ReceivedWeights, WeightsReceiver, send_weights
from xenolith.v1 import generator_pb2

__all__ = ["get_weights", "update_weights"]

_FULL = generator_pb2.WEIGHTS_KIND_FULL
_ADAPTER = generator_pb2.WEIGHTS_KIND_ADAPTER


def update_weights(
    tensors: Mapping[str, npt.NDArray[np.generic]],
    *,
    policy_version: str,
    bundle_digest: str,
    expected_policy_version: str = "",
    base_policy_version: str = "",
    config_json: str = "",
    adapter: bool = False,
    timeout_s: float | None = None,
) -> Upload[generator_pb2.UpdateWeightsResponse]:
    """Replace the policy's weights, all at once or not at all.

    Parameters
    ----------
    tensors
        Arrays by name.
    policy_version
        Version that they are, such as ``my-run/12``.
    bundle_digest
        Bundle that they were trained on.
    expected_policy_version
        Fail unless this version is loaded; empty: replace whatever is.
    base_policy_version
        For an adapter: the version it applies to.
    config_json
        Configuration of denoiser or adapter, if it differs from the bundle's.
    adapter
        Whether the tensors are a low-rank adapter.
    timeout_s
        Seconds until the call fails; default 300.
    """
    header = generator_pb2.WeightsHeader(
        kind=_ADAPTER if adapter else _FULL,
        policy_version=policy_version,
        expected_policy_version=expected_policy_version,
        base_policy_version=base_policy_version,
        bundle_digest=bundle_digest,
        config_json=config_json,
    )
    return Upload(
        method="UpdateWeights",
        requests=lambda: send_weights(generator_pb2.UpdateWeightsRequest, header, tensors),
        parse=lambda r: r,
        timeout_s=deadline(timeout_s, 300),
    )


def get_weights(
    *, expected_policy_version: str = "", adapter: bool = False, timeout_s: float | None = None
) -> Collect[ReceivedWeights]:
    """Return the policy's weights, verified against their checksum."""
    kind = _ADAPTER if adapter else _FULL
    request = generator_pb2.GetWeightsRequest(kind=kind, expected_policy_version=expected_policy_version)
    timeout = deadline(timeout_s, 300)
    return Collect(method="GetWeights", request=request, collector=WeightsReceiver, timeout_s=timeout)
