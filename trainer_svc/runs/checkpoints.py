"""Checkpoints: weights and AdamW state as safetensors, the rest as JSON; each published at once."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from generator_svc.networks.lora import adapter_state, load_adapter, merged_state
from trainer_svc.errors import CheckpointError
from trainer_svc.rollouts.experience import ExperienceState
from trainer_svc.runs.seals import check_files, read_sealed, replace_state, write_sealed
from xenolith.files import publish_directory

__all__ = ["Checkpoints", "LearnerWeights", "TrainingState"]

_NAME = re.compile(r"step-(\d{6,})")
_REMOVED = ".removed"


class TrainingState(BaseModel):
    """State of a run beside weights and optimiser, with which it goes on as if never stopped."""

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    """Steps done."""
    policy_version: str
    """Version of the weights beside this file."""
    reward_means: list[float] = []
    """Plain mean reward of every step, for early stopping."""
    candidates_bytes: int = 0
    """Length of candidates.extxyz; what lies beyond was written by a step that is going to be repeated."""
    training_s: float = 0.0
    """Seconds that all steps took."""
    stop_reason: str = ""
    """Why the run ended before its last step; empty if it did not."""
    oracle_calls: int = 0
    """Structures scored in training."""
    kl_weight: float | None = None
    """Weight of the divergence to the base policy at the next step; None: as the run begins."""
    systems: list[float] = []
    """Distinct chemical systems per sample of every step since the run began or last backed off."""
    evaluations: list[tuple[int, float]] = []
    """Step and mSUN of each evaluation during the run."""
    repetitive: list[int] = []
    """Steps of those whose samples had fewer unique ones than the run asks for."""
    selection_calls: int = 0
    """Structures scored in them."""
    calculator_evaluations: int = 0
    """Energies computed in training and in them."""
    back_offs: int = 0
    """How often a collapse was answered by going back."""
    experience: ExperienceState = ExperienceState()

    @property
    def chosen_step(self) -> int:
        """Step whose policy is the run's: the best that was evaluated, else the latest."""
        if not self.evaluations:
            return self.step
        # Of equal ones the later: it has learnt more.
        ranked = [(step not in self.repetitive, msun, step) for step, msun in self.evaluations]
        return max(ranked)[2]


@dataclass(frozen=True, kw_only=True)
class LearnerWeights:
    """The networks of a run, with their optimiser."""

    trained: nn.Module
    optimizer: torch.optim.Optimizer
    """Over the trained network's weights."""
    average: nn.Module | None = None
    """Its moving average, where one is kept."""
    samples_average: bool = False
    """Whether that average is the policy, and so the checkpoint's weights."""

    @property
    def policy(self) -> nn.Module:
        """The network that samples."""
        return self.average if self.samples_average and self.average is not None else self.trained

    @property
    def beside(self) -> dict[str, nn.Module]:
        """Networks kept beside the policy, by the name of their file."""
        if self.average is None:
            return {}
        return {"trained": self.trained} if self.samples_average else {"average": self.average}


class Checkpoints:
    """The checkpoints of one run, newest last."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root, self._keep = root, keep
        root.mkdir(parents=True, exist_ok=True)

    def steps(self) -> list[int]:
        """Steps that have a complete checkpoint, ascending."""
        matches = (_NAME.fullmatch(path.name) for path in self._root.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def save(
        self, networks: LearnerWeights, state: TrainingState, latents: Mapping[str, Tensor] | None = None
    ) -> Path:
        """Write a checkpoint and delete the oldest beyond the limit.

        Step 0 stays, it is the base policy. So does the best so far of each that is kept: the run can go back
        to it.
        """
        final = self._path(state.step)
        temporary = self._root / f".{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        # Always those of a plain denoiser, which anyone can sample from; an adapter is kept beside them.
        save_file(_contiguous(merged_state(networks.policy)), temporary / "weights.safetensors")
        if adapter := adapter_state(networks.policy):
            save_file(_contiguous(adapter), temporary / "adapter.safetensors")
        for name, network in networks.beside.items():
            own = adapter_state(network) or network.state_dict()
            save_file(_contiguous(own), temporary / f"{name}.safetensors")
        moments = _optimizer_tensors(networks.trained, networks.optimizer)
        save_file(moments, temporary / "optimizer.safetensors")
        if latents:
            save_file(_contiguous(latents), temporary / "replay.safetensors")
        write_sealed(temporary, state.model_dump())
        # A step repeated after an interruption finds its own earlier checkpoint, equal bit for bit.
        if final.exists():
            self._remove(state.step)
        publish_directory(temporary, final)
        self._prune()
        return final

    def load(self, networks: LearnerWeights, step: int | None = None) -> TrainingState:
        """Restore networks and optimiser in place.

        Parameters
        ----------
        networks
            Of the run's architecture; overwritten. Of networks with an adapter, the adapter alone is: their
            other weights must be those of step 0.
        step
            Which checkpoint; absent: the newest.

        Raises
        ------
        CheckpointError
            There is none, it is not as it was written, or it does not fit the network; says which earlier one
            can be gone back to.
        """
        step = self._newest() if step is None else step
        self.restore(networks, step)
        return self.state(step)

    def latents(self) -> dict[str, Tensor]:
        """Read the latents that the newest checkpoint keeps for replay."""
        with self._usable(self._newest()) as folder:
            path = folder / "replay.safetensors"
            return load_file(path) if path.exists() else {}

    def restore(self, networks: LearnerWeights, step: int) -> None:
        """Restore networks and optimiser of a step in place, nothing else.

        Raises
        ------
        CheckpointError
            As `load`.
        """
        with self._usable(step) as path:
            if adapter_state(networks.policy):
                load_adapter(networks.policy, load_file(path / "adapter.safetensors"))
            else:
                networks.policy.load_state_dict(load_file(path / "weights.safetensors"))
            for name, network in networks.beside.items():
                tensors = load_file(path / f"{name}.safetensors")
                if adapter_state(network):
                    load_adapter(network, tensors)
                else:
                    network.load_state_dict(tensors)
            moments = load_file(path / "optimizer.safetensors")
            _restore_optimizer(networks.trained, networks.optimizer, moments)

    def state(self, step: int) -> TrainingState:
        """Read the state of a step.

        Raises
        ------
        CheckpointError
            There is no such checkpoint, or it is damaged.
        """
        with self._usable(step, files=False) as path:
            return _state(path)

    def go_back(self, step: int) -> None:
        """Forget the checkpoints after that of a step, which is checked before.

        Raises
        ------
        CheckpointError
            It is not kept, or not as it was written; nothing is forgotten.
        """
        self.expect(step)
        with self._usable(step) as path:
            _state(path)
        for later in reversed([known for known in self.steps() if known > step]):
            self._remove(later)

    def expect(self, step: int) -> None:
        """Raise `CheckpointError` if no checkpoint of this step is kept; names those that are."""
        if step not in self.steps():
            known = ", ".join(str(known) for known in self.steps())
            raise CheckpointError(f"no checkpoint of step {step} is kept; there are: {known}")

    def clear_stop_reason(self, step: int | None = None) -> None:
        """Let a run that stopped early go on, from the newest checkpoint or that of a step."""
        with self._usable(self._newest() if step is None else step, files=False) as path:
            replace_state(path, _state(path).model_copy(update={"stop_reason": ""}).model_dump())

    def next_size(self) -> int:
        """Return about how many bytes the next checkpoint takes, by the newest one; 0 where there is none."""
        newest = self.steps()[-1:]
        size = sum(file.stat().st_size for step in newest for file in self._path(step).iterdir())
        # That of the base has no state of AdamW yet, which is two numbers for each weight.
        return 3 * size if newest == [0] else size

    def weights(self, step: int | None = None) -> tuple[int, dict[str, Tensor]]:
        """Read the weights of one checkpoint, the newest by default, with its step."""
        step = self._newest() if step is None else step
        self.expect(step)
        with self._usable(step) as path:
            return step, load_file(path / "weights.safetensors")

    def policy(self, step: int | None = None) -> tuple[int, dict[str, Tensor]]:
        """Read the weights of one checkpoint, by default those that the run has chosen, with their step."""
        if step is None:
            with self._usable(self._newest(), files=False) as newest:
                step = _state(newest).chosen_step
        return self.weights(step)

    def _newest(self) -> int:
        steps = self.steps()
        if not steps:
            raise CheckpointError(f"no checkpoint in {self._root}; the run ended before its first one")
        return steps[-1]

    def _path(self, step: int) -> Path:
        return self._root / f"step-{step:06d}"

    @contextmanager
    def _usable(self, step: int, *, files: bool = True) -> Iterator[Path]:
        """Give the folder of a checkpoint, its files checked; what is wrong with it is told with a way out.

        Raises
        ------
        CheckpointError
            It cannot be used.
        """
        path = self._path(step)
        try:
            if files:
                check_files(path)
            yield path
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self._way_out(step)}") from error
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise CheckpointError(
                f"checkpoint {path} cannot be used: {error}; {self._way_out(step)}"
            ) from error

    def _way_out(self, step: int) -> str:
        run = self._root.parent.name
        for earlier in reversed([known for known in self.steps() if known < step]):
            with suppress(CheckpointError):
                check_files(self._path(earlier))
                _state(self._path(earlier))
                return (
                    f"the one of step {earlier} is whole: xenolith train --resume {run} --from-step {earlier}"
                    f" goes on from there, and so does resume_run({run!r}, from_step={earlier})"
                )
        return "no earlier one is whole; start the run anew under another name"

    def _prune(self) -> None:
        after_base = [step for step in self.steps() if step > 0]
        kept = set(after_base[-self._keep :])
        for step in tuple(kept):
            with suppress(CheckpointError):
                kept.add(_state(self._path(step)).chosen_step)
        for step in after_base:
            if step not in kept:
                self._remove(step)
        for left_by_a_kill in self._root.glob(f".*{_REMOVED}"):
            shutil.rmtree(left_by_a_kill)

    def _remove(self, step: int) -> None:
        # Out of sight first: a kill in between must not leave half of one for a whole one.
        hidden = self._root / f".{self._path(step).name}{_REMOVED}"
        shutil.rmtree(hidden, ignore_errors=True)
        shutil.rmtree(self._path(step).rename(hidden))


def _state(path: Path) -> TrainingState:
    """Read the state in the folder of a checkpoint.

    Raises
    ------
    CheckpointError
        It cannot be used.
    """
    document = read_sealed(path)
    try:
        return TrainingState.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise CheckpointError(f"{path / 'state.json'} cannot be used: {problems}") from error


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _optimizer_tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name AdamW's state after the weights it belongs to, so that no order of parameters is implied."""
    return {
        f"{key}/{name}": value.detach().contiguous()
        for name, weight in network.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def _restore_optimizer(
    network: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    weights = dict(network.named_parameters())
    optimizer.state.clear()
    for path, value in tensors.items():
        key, name = path.split("/", 1)
        # A copy of its own: what was loaded may be the file itself, mapped.
        optimizer.state[weights[name]][key] = value.clone()
