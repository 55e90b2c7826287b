"""The calls of the generator that move weights."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt

from xenolith.client.transport.calls import Collect, Upload, takes
from xenolith.contract.chunks import ReceivedWeights, WeightsReceiver, send_weights
from xenolith.v1 import generator_pb2

__all__ = ["UpdateOptions", "get_weights", "update_weights", "uploading"]

_FULL = generator_pb2.WEIGHTS_KIND_FULL
_ADAPTER = generator_pb2.WEIGHTS_KIND_ADAPTER


@dataclass(frozen=True)
class UpdateOptions:
    """Weights, and what they are."""

    tensors: Mapping[str, npt.NDArray[np.generic]]
    """Arrays by name."""
    _: KW_ONLY
    policy_version: str
    """Version that they are, such as ``my-run/12``."""
    bundle_digest: str
    """Bundle that they were trained on."""
    expected_policy_version: str = ""
    """Fail unless this version is loaded; empty: replace whatever is."""
    base_policy_version: str = ""
    """For an adapter: the version it applies to."""
    config_json: str = ""
    """Configuration of denoiser or adapter, if it differs from the bundle's."""
    adapter: bool = False
    """Whether the tensors are a low-rank adapter."""
    timeout_s: float | None = None
    """Seconds until the call fails; None: 300."""


@takes(UpdateOptions)
def update_weights(options: UpdateOptions) -> Upload[generator_pb2.UpdateWeightsResponse]:
    """Replace the policy's weights, all at once or not at all; the arguments are those of `UpdateOptions`."""
    header = generator_pb2.WeightsHeader(
        kind=_ADAPTER if options.adapter else _FULL,
        policy_version=options.policy_version,
        expected_policy_version=options.expected_policy_version,
        base_policy_version=options.base_policy_version,
        bundle_digest=options.bundle_digest,
        config_json=options.config_json,
    )
    return uploading(header, options.tensors, options.timeout_s)


def uploading(
    header: generator_pb2.WeightsHeader,
    tensors: Mapping[str, npt.NDArray[np.generic]],
    timeout_s: float | None = None,
) -> Upload[generator_pb2.UpdateWeightsResponse]:
    """Return the call that sends weights under a header as it is."""
    return Upload(
        method="UpdateWeights",
        requests=lambda: send_weights(generator_pb2.UpdateWeightsRequest, header, tensors),
        parse=lambda r: r,
        timeout_s=timeout_s,
        default_s=300,
    )


def get_weights(
    *, expected_policy_version: str = "", adapter: bool = False, timeout_s: float | None = None
) -> Collect[ReceivedWeights]:
    """Return the policy's weights, verified against their checksum."""
    kind = _ADAPTER if adapter else _FULL
    request = generator_pb2.GetWeightsRequest(kind=kind, expected_policy_version=expected_policy_version)
    return Collect(
        method="GetWeights", request=request, collector=WeightsReceiver, timeout_s=timeout_s, default_s=300
    )
