"""Run configuration: one document that fixes a run, with the contract's names. Unknown keys are refused."""

import difflib
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from generator_svc.networks.lora import LoraConfig
from trainer_svc.algorithms.learning import Hold, Model, OptimizerSettings
from trainer_svc.algorithms.registry import algorithm_named, with_defaults
from trainer_svc.config.condition_text import normalized
from trainer_svc.errors import ConfigError
from trainer_svc.rewards.metrics import METRICS, is_metric
from trainer_svc.rewards.spec import RewardSpec, load_spec
from xenolith.explain import explain, violations

__all__ = [
    "AtomCounts",
    "EarlyStopping",
    "EvaluationSettings",
    "Hold",
    "OptimizerSettings",
    "Replay",
    "RunConfig",
    "Sampler",
    "validate_config",
]


class AtomCounts(Model):
    """How a group's atom count is chosen."""

    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)
    """Absent: the generator's max_atoms."""
    choices: tuple[int, ...] = ()
    """Draw from these alone, equally likely; empty: from the generator's prior within [min, max]."""
    curriculum: float | None = Field(default=None, gt=0.0, le=1.0)
    """Draw groups where some samples succeed and some fail: the probability of an atom count is multiplied
    by this floor plus 4 p (1 - p), p being its recent share of metastable, unique and novel samples. Of no
    effect on evaluations."""


class Sampler(Model):
    """Sampler of an evaluation; what is absent is as for the rollouts."""

    steps: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0.0, le=1.0)
    guidance_scale: float | None = Field(default=None, ge=0.0)


class RolloutSampler(Model):
    """Sampler of the rollouts."""

    steps: int = Field(default=20, ge=2)
    eta: float = Field(default=1.0, ge=0.0, le=1.0)
    guidance_scale: float = Field(default=1.0, ge=0.0)


class Cleanup(Model):
    """Treatment of decoded crystals by the generator before they are scored."""

    symmetrize_tolerance: float | None = Field(default=None, gt=0.0)
    """Angstrom; None: leave symmetry alone."""
    relax_steps: int | None = Field(default=None, ge=0)
    """Most relaxation steps; None or 0: none."""


class Finishing(Model):
    """How the generator finishes decoded crystals before they are scored."""

    steps: int | None = Field(default=None, ge=0)
    """Evaluations of the finisher; None: the generator's default; 0: none."""
    noise: float | None = Field(default=None, gt=0.0)
    """Angstrom that decoded crystals are taken to have; None: the generator's default."""


class EvaluationSettings(Model):
    """How base and tuned policy are compared: both with these settings and the same seeds."""

    n: int = Field(default=256, ge=0)
    """Fresh samples of each policy; 0: none."""
    every: int = Field(default=0, ge=0)
    """Steps between evaluations during the run, on seeds of their own, which choose the policy that the run
    ends with; 0: none, and it ends with the last one."""
    n_during: int = Field(default=64, ge=1)
    min_unique: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of unique samples below which a policy yields to those above when one is chosen during the run;
    None: mSUN alone decides. The more samples, the more of them repeat each other: it is for n_during."""
    seeds: tuple[int, ...] = ()
    """One round of n samples each, pooled; empty: one seed derived from the run's."""
    sampler: Sampler = Field(default_factory=Sampler)
    relax: dict[str, Any] | None = None
    audit_calculator_ids: tuple[str, ...] = ()
    """Second calculators of the oracle that judge the samples of every evaluation."""
    bootstrap: int = Field(default=1000, ge=100)
    atom_counts: AtomCounts | None = None
    """Absent: as the run's groups."""
    cleanup: Cleanup | None = None
    """Absent: none."""
    finishing: Finishing | None = None
    """Absent: the generator's default, as for rollouts."""


class EarlyStopping(Model):
    """When to stop before the last step."""

    patience: int = Field(default=0, ge=0)
    """Steps without a better moving average of the reward; 0: never."""
    window: int = Field(default=5, ge=1)
    min_delta: float = Field(default=0.0, ge=0.0)
    min_unique: float | None = Field(default=None, ge=0.0, le=1.0)
    """Stop when the share of unique samples falls below this (mode collapse)."""
    max_training_s: float | None = Field(default=None, gt=0.0)
    """Begin no further step once training has taken this long, seconds; makes runs depend on the machine."""
    min_systems: float | None = Field(default=None, ge=0.0, le=1.0)
    """Collapse: the distinct chemical systems per sample, averaged over `window` steps, fall below this share
    of those of the first `window` steps."""
    back_offs: int = Field(default=0, ge=0)
    """How often a collapse is answered by going back to the best policy that is kept and doubling the weight
    of the divergence to the base policy, before it ends the run."""
    max_oracle_calls: int | None = Field(default=None, ge=1)
    """Begin no further step once this many structures were scored, evaluations during the run included."""
    max_calculator_evaluations: int | None = Field(default=None, ge=1)
    """Begin no further step once the oracle's calculator has computed this many energies for the run."""


class Replay(Model):
    """The best latents of earlier steps, learnt from again."""

    size: int = Field(default=0, ge=0)
    """Latents kept, the best of each formula; 0: no replay."""
    per_step: int = Field(default=32, ge=1)
    """Of these learnt from in each step."""
    advantage: float = Field(default=0.5, gt=0.0)
    """Advantage of each."""


class RunConfig(Model):
    """Everything that determines a run, beside the bundle and the services it talks to."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seed: int = Field(default=0, ge=0, lt=2**64)
    """0 is a seed like any other."""
    expected_bundle_digest: str = ""
    base_policy_version: str = ""
    from_run: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*(/\d+)?)?$")
    """Run whose policy this one starts from and is held to: NAME (the chosen one) or NAME/STEP."""
    steps: int = Field(default=100, ge=1)
    groups: int = Field(default=8, ge=1)
    group_size: int = Field(default=32, ge=2)
    atom_counts: AtomCounts = Field(default_factory=AtomCounts)
    conditions: tuple[dict[str, Any], ...] = ()
    """Conditions in the contract's JSON form, taken by the groups in turn; a composition may be written as a
    formula, a chemical system as Li-Fe-O. Evaluations sample under the same."""
    sampler: RolloutSampler = Field(default_factory=RolloutSampler)
    algorithm: str = "grpo"
    """How the policy learns from a step: grpo, awm, nft, ram, expert, or one that is installed. Fields that
    are left out take the algorithm's own defaults."""
    algorithm_settings: dict[str, Any] = Field(default_factory=dict)
    """What this algorithm alone has to be told."""
    optimizer: OptimizerSettings = Field(default_factory=OptimizerSettings)
    hold: Hold = Field(default_factory=Hold)
    reward: RewardSpec = Field(default_factory=lambda: load_spec("discovery"))
    """Name of a shipped spec, path of a TOML file, TOML text, or the table itself."""
    score_settings: dict[str, Any] = Field(default_factory=dict)
    """The contract's ScoreSettings in JSON form."""
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    early_stopping: EarlyStopping = Field(default_factory=EarlyStopping)
    checkpoint_every: int = Field(default=1, ge=1)
    max_staleness: int = Field(default=0, ge=0, le=8)
    """Updates that the policy of a step's samples is behind: sampling, scoring and updating overlap. 0: they
    take turns, and each step is sampled by the latest policy. For algorithms on the forward process."""
    share_initial_noise: bool = False
    replay: Replay = Field(default_factory=Replay)
    adapter_rank: int = Field(default=0, ge=0)
    """Rank of the low-rank adapter to train; 0: all weights are trained."""
    adapter_alpha: float = Field(default=0.0, ge=0.0)
    """The adapter's change is scaled by alpha / rank; 0: twice the rank."""
    adapter_targets: tuple[str, ...] = ()
    """Layers of every block it changes: attention, mlp, modulation; empty: all."""
    labels: dict[str, str] = Field(default_factory=dict)

    @property
    def adapter(self) -> LoraConfig | None:
        """The adapter to train, if one."""
        if self.adapter_rank == 0:
            return None
        alpha = self.adapter_alpha or 2.0 * self.adapter_rank
        targets = {"targets": self.adapter_targets} if self.adapter_targets else {}
        return LoraConfig(rank=self.adapter_rank, alpha=alpha, **targets)

    @model_validator(mode="before")
    @classmethod
    def _algorithm_defaults(cls, value: Any) -> Any:
        return with_defaults(value) if isinstance(value, dict) else value

    @field_validator("max_staleness")
    @classmethod
    def _may_be_stale(cls, value: int, info: ValidationInfo) -> int:
        hold = info.data.get("hold")
        if value and (
            algorithm_named(info.data["algorithm"]).needs_trajectory or (hold is not None and hold.ratio_clip)
        ):
            raise ValueError(
                "needs an algorithm on the forward process, without hold.ratio_clip: ratios to the policy"
                " that sampled are not formed for an older one"
            )
        if value and info.data.get("checkpoint_every", 1) != 1:
            raise ValueError("needs checkpoint_every 1: older policies are read from checkpoints")
        return value

    @field_validator("conditions", mode="before")
    @classmethod
    def _normal_conditions(cls, value: Any) -> Any:
        return [normalized(entry) for entry in value] if isinstance(value, list | tuple) else value

    @field_validator("reward", mode="before")
    @classmethod
    def _load_reward(cls, value: Any) -> Any:
        return load_spec(value) if isinstance(value, str) else value

    @field_validator("reward")
    @classmethod
    def _measurable(cls, value: RewardSpec) -> RewardSpec:
        for term in value.terms:
            if not is_metric(term.metric):
                close = difflib.get_close_matches(term.metric, METRICS, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ValueError(f"term {term.name!r}: nothing measures {term.metric!r}{hint}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        kind = algorithm_named(self.algorithm)
        if self.sampler.eta == 0.0 and kind.needs_trajectory:
            raise ValueError(
                "sampler.eta must be above 0: without noise there are no log-probabilities, which"
                f" {self.algorithm} needs"
            )
        if kind.needs_trajectory and (self.hold.anchor_weight or self.hold.ratio_clip):
            raise ValueError(
                f"hold.anchor_weight and hold.ratio_clip are for forward-process algorithms; {self.algorithm}"
                " clips by optimizer.clip_low and clip_high"
            )
        if self.replay.size and (kind.needs_trajectory or self.conditions):
            raise ValueError("replay needs an algorithm on the forward process, and no conditions")
        try:
            kind.Settings.model_validate(self.algorithm_settings)
        except ValidationError as error:
            raise ValueError(
                f"algorithm_settings of {self.algorithm}: {explain(error, kind.Settings)}"
            ) from error
        if self.from_run and self.base_policy_version:
            raise ValueError("from_run and base_policy_version both say where to start; give one")
        if self.adapter is None and (self.adapter_alpha or self.adapter_targets):
            raise ValueError("adapter_alpha and adapter_targets need adapter_rank")
        if self.sampler.guidance_scale != 1.0 and not self.conditions:
            raise ValueError("sampler.guidance_scale needs conditions: without any only 1 makes sense")
        return self


def validate_config(document: dict[str, Any]) -> RunConfig:
    """Check a configuration given as plain data.

    Raises
    ------
    ConfigError
        Naming every key or value that is wrong, in words and as `violations` below ``config``.
    """
    try:
        return RunConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            f"run configuration: {explain(error, RunConfig)}",
            violations=violations(error, RunConfig, "config"),
        ) from error
