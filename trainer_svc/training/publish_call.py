"""The PublishPolicy call: the generator samples with a policy of a run."""

from trainer_svc.errors import RunStateError
from trainer_svc.services.policy_link import PolicyLink, version_of
from trainer_svc.services.remote import patience
from trainer_svc.training.earlier_runs import policy_of_run
from trainer_svc.training.manager import RunManager
from xenolith.v1 import trainer_pb2

__all__ = ["publish_policy"]

_PATIENCE_S = 30.0
"""A caller waits for this."""


async def publish_policy(
    request: trainer_pb2.PublishPolicyRequest, manager: RunManager
) -> trainer_pb2.PublishPolicyResponse:
    """Push the policy of a run to the generator.

    Raises
    ------
    RunStateError
        A run is at work: both would use the same generator with different policies.
    """
    if manager.turn.locked():
        raise RunStateError("a run is at work on the same generator; stop it or wait for its end")
    waiting = patience(_PATIENCE_S)
    async with manager.turn, manager.services.connect(request.run_name, waiting) as (generator, _):
        source = await generator.describe()
        name = f"{request.run_name}/{request.step}" if request.HasField("step") else request.run_name
        step, weights = policy_of_run(manager.root, name, source.bundle_digest)
        version = version_of(request.run_name, step, weights)
        await PolicyLink(generator, source).publish(version, weights)
        return trainer_pb2.PublishPolicyResponse(policy_version=version, step=step)
