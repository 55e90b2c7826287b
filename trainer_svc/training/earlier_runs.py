"""Policies that earlier runs ended with, to sample from and to start from."""

from pathlib import Path

from torch import Tensor

from trainer_svc.errors import SourceChangedError
from trainer_svc.runs.checkpoints import Checkpoints
from trainer_svc.runs.directory import RunDirectory

__all__ = ["policy_of_run"]


def policy_of_run(root: Path, name: str, bundle_digest: str) -> tuple[int, dict[str, Tensor]]:
    """Read the weights of a run's policy, with their step.

    Parameters
    ----------
    root
        Directory of all runs.
    name
        ``NAME`` for the policy that the run has chosen, ``NAME/STEP`` for that of a step.
    bundle_digest
        Digest of the bundle that is to sample with it.

    Raises
    ------
    NoSuchRunError
        There is no such run.
    CheckpointError
        The step is not kept, or the run ended before its first checkpoint.
    SourceChangedError
        The run was made with another bundle: its latents would mean something else.
    """
    run, slash, step = name.partition("/")
    directory = RunDirectory.open(root, run)
    record = directory.read_record()
    if record is not None and record.bundle_digest not in {"", bundle_digest}:
        raise SourceChangedError(
            f"run {run!r} was made with bundle {record.bundle_name} {record.bundle_digest[:12]}, not with"
            f" {bundle_digest[:12]}; use that bundle"
        )
    return Checkpoints(directory.checkpoints, keep=1_000).policy(int(step) if slash else None)
