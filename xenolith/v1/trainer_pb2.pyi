from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xenolith.v1 import generator_pb2 as _generator_pb2
from xenolith.v1 import oracle_pb2 as _oracle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RewardNormalization(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REWARD_NORMALIZATION_UNSPECIFIED: _ClassVar[RewardNormalization]
    REWARD_NORMALIZATION_NONE: _ClassVar[RewardNormalization]
    REWARD_NORMALIZATION_GROUP_STANDARD: _ClassVar[RewardNormalization]
    REWARD_NORMALIZATION_GROUP_MIN_MAX: _ClassVar[RewardNormalization]
    REWARD_NORMALIZATION_STEP_STANDARD: _ClassVar[RewardNormalization]
    REWARD_NORMALIZATION_STEP_MIN_MAX: _ClassVar[RewardNormalization]

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_QUEUED: _ClassVar[RunState]
    RUN_STATE_EVALUATING_BASE: _ClassVar[RunState]
    RUN_STATE_RUNNING: _ClassVar[RunState]
    RUN_STATE_EVALUATING_TUNED: _ClassVar[RunState]
    RUN_STATE_REPORTING: _ClassVar[RunState]
    RUN_STATE_SUCCEEDED: _ClassVar[RunState]
    RUN_STATE_FAILED: _ClassVar[RunState]
    RUN_STATE_STOPPED: _ClassVar[RunState]
    RUN_STATE_INTERRUPTED: _ClassVar[RunState]
    RUN_STATE_WAITING: _ClassVar[RunState]
REWARD_NORMALIZATION_UNSPECIFIED: RewardNormalization
REWARD_NORMALIZATION_NONE: RewardNormalization
REWARD_NORMALIZATION_GROUP_STANDARD: RewardNormalization
REWARD_NORMALIZATION_GROUP_MIN_MAX: RewardNormalization
REWARD_NORMALIZATION_STEP_STANDARD: RewardNormalization
REWARD_NORMALIZATION_STEP_MIN_MAX: RewardNormalization
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_QUEUED: RunState
RUN_STATE_EVALUATING_BASE: RunState
RUN_STATE_RUNNING: RunState
RUN_STATE_EVALUATING_TUNED: RunState
RUN_STATE_REPORTING: RunState
RUN_STATE_SUCCEEDED: RunState
RUN_STATE_FAILED: RunState
RUN_STATE_STOPPED: RunState
RUN_STATE_INTERRUPTED: RunState
RUN_STATE_WAITING: RunState

class TrainerServiceDescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrainerServiceDescribeResponse(_message.Message):
    __slots__ = ("service_version", "algorithms", "reward_specs", "limits", "max_queued_runs")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    REWARD_SPECS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_RUNS_FIELD_NUMBER: _ClassVar[int]
    service_version: str
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    reward_specs: _containers.RepeatedScalarFieldContainer[str]
    limits: _containers.ScalarMap[str, float]
    max_queued_runs: int
    def __init__(self, service_version: _Optional[str] = ..., algorithms: _Optional[_Iterable[str]] = ..., reward_specs: _Optional[_Iterable[str]] = ..., limits: _Optional[_Mapping[str, float]] = ..., max_queued_runs: _Optional[int] = ...) -> None: ...

class RunConfig(_message.Message):
    __slots__ = ("name", "seed", "expected_bundle_digest", "base_policy_version", "steps", "groups", "group_size", "atom_counts", "conditions", "sampler", "optimizer", "reward_terms", "invalid_reward", "score_settings", "evaluation", "early_stopping", "checkpoint_every", "max_staleness", "share_initial_noise", "adapter_rank", "labels", "reward_spec", "suspicious_below", "creativity", "adapter_alpha", "adapter_targets", "algorithm", "algorithm_settings", "hold", "reward_combine", "elements", "replay", "from_run")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASE_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    ATOM_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    REWARD_TERMS_FIELD_NUMBER: _ClassVar[int]
    INVALID_REWARD_FIELD_NUMBER: _ClassVar[int]
    SCORE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_FIELD_NUMBER: _ClassVar[int]
    SHARE_INITIAL_NOISE_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_RANK_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REWARD_SPEC_FIELD_NUMBER: _ClassVar[int]
    SUSPICIOUS_BELOW_FIELD_NUMBER: _ClassVar[int]
    CREATIVITY_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_ALPHA_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_TARGETS_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    REWARD_COMBINE_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    FROM_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    seed: int
    expected_bundle_digest: str
    base_policy_version: str
    steps: int
    groups: int
    group_size: int
    atom_counts: AtomCounts
    conditions: _containers.RepeatedCompositeFieldContainer[_generator_pb2.Condition]
    sampler: _generator_pb2.SamplerSettings
    optimizer: OptimizerSettings
    reward_terms: _containers.RepeatedCompositeFieldContainer[RewardTerm]
    invalid_reward: float
    score_settings: _oracle_pb2.ScoreSettings
    evaluation: EvaluationSettings
    early_stopping: EarlyStopping
    checkpoint_every: int
    max_staleness: int
    share_initial_noise: bool
    adapter_rank: int
    labels: _containers.ScalarMap[str, str]
    reward_spec: str
    suspicious_below: float
    creativity: CreativitySettings
    adapter_alpha: float
    adapter_targets: _containers.RepeatedScalarFieldContainer[str]
    algorithm: str
    algorithm_settings: _struct_pb2.Struct
    hold: HoldSettings
    reward_combine: str
    elements: ElementPreferences
    replay: ReplaySettings
    from_run: str
    def __init__(self, name: _Optional[str] = ..., seed: _Optional[int] = ..., expected_bundle_digest: _Optional[str] = ..., base_policy_version: _Optional[str] = ..., steps: _Optional[int] = ..., groups: _Optional[int] = ..., group_size: _Optional[int] = ..., atom_counts: _Optional[_Union[AtomCounts, _Mapping]] = ..., conditions: _Optional[_Iterable[_Union[_generator_pb2.Condition, _Mapping]]] = ..., sampler: _Optional[_Union[_generator_pb2.SamplerSettings, _Mapping]] = ..., optimizer: _Optional[_Union[OptimizerSettings, _Mapping]] = ..., reward_terms: _Optional[_Iterable[_Union[RewardTerm, _Mapping]]] = ..., invalid_reward: _Optional[float] = ..., score_settings: _Optional[_Union[_oracle_pb2.ScoreSettings, _Mapping]] = ..., evaluation: _Optional[_Union[EvaluationSettings, _Mapping]] = ..., early_stopping: _Optional[_Union[EarlyStopping, _Mapping]] = ..., checkpoint_every: _Optional[int] = ..., max_staleness: _Optional[int] = ..., share_initial_noise: bool = ..., adapter_rank: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., reward_spec: _Optional[str] = ..., suspicious_below: _Optional[float] = ..., creativity: _Optional[_Union[CreativitySettings, _Mapping]] = ..., adapter_alpha: _Optional[float] = ..., adapter_targets: _Optional[_Iterable[str]] = ..., algorithm: _Optional[str] = ..., algorithm_settings: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., hold: _Optional[_Union[HoldSettings, _Mapping]] = ..., reward_combine: _Optional[str] = ..., elements: _Optional[_Union[ElementPreferences, _Mapping]] = ..., replay: _Optional[_Union[ReplaySettings, _Mapping]] = ..., from_run: _Optional[str] = ...) -> None: ...

class ElementPreferences(_message.Message):
    __slots__ = ("avoid", "favour", "weight")
    AVOID_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    avoid: _containers.RepeatedScalarFieldContainer[str]
    favour: _containers.RepeatedScalarFieldContainer[str]
    weight: float
    def __init__(self, avoid: _Optional[_Iterable[str]] = ..., favour: _Optional[_Iterable[str]] = ..., weight: _Optional[float] = ...) -> None: ...

class ReplaySettings(_message.Message):
    __slots__ = ("size", "per_step", "advantage")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PER_STEP_FIELD_NUMBER: _ClassVar[int]
    ADVANTAGE_FIELD_NUMBER: _ClassVar[int]
    size: int
    per_step: int
    advantage: float
    def __init__(self, size: _Optional[int] = ..., per_step: _Optional[int] = ..., advantage: _Optional[float] = ...) -> None: ...

class HoldSettings(_message.Message):
    __slots__ = ("kl_target", "kl_rate", "negative_scale", "ratio_clip", "anchor_weight", "anchor_decay", "anchor_warmup_steps")
    KL_TARGET_FIELD_NUMBER: _ClassVar[int]
    KL_RATE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_SCALE_FIELD_NUMBER: _ClassVar[int]
    RATIO_CLIP_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_DECAY_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_WARMUP_STEPS_FIELD_NUMBER: _ClassVar[int]
    kl_target: float
    kl_rate: float
    negative_scale: float
    ratio_clip: float
    anchor_weight: float
    anchor_decay: float
    anchor_warmup_steps: int
    def __init__(self, kl_target: _Optional[float] = ..., kl_rate: _Optional[float] = ..., negative_scale: _Optional[float] = ..., ratio_clip: _Optional[float] = ..., anchor_weight: _Optional[float] = ..., anchor_decay: _Optional[float] = ..., anchor_warmup_steps: _Optional[int] = ...) -> None: ...

class CreativitySettings(_message.Message):
    __slots__ = ("partial", "scale", "share_duplicates", "memory")
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    SHARE_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    partial: float
    scale: float
    share_duplicates: bool
    memory: float
    def __init__(self, partial: _Optional[float] = ..., scale: _Optional[float] = ..., share_duplicates: bool = ..., memory: _Optional[float] = ...) -> None: ...

class AtomCounts(_message.Message):
    __slots__ = ("min", "max", "choices", "curriculum")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    CURRICULUM_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    choices: _containers.RepeatedScalarFieldContainer[int]
    curriculum: float
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ..., choices: _Optional[_Iterable[int]] = ..., curriculum: _Optional[float] = ...) -> None: ...

class OptimizerSettings(_message.Message):
    __slots__ = ("learning_rate", "weight_decay", "max_grad_norm", "clip_low", "clip_high", "kl_weight", "timestep_fraction", "passes", "minibatches", "advantage_clip", "normalize_advantage", "ema_decay", "warmup_steps", "timestep_window", "normalize_ratio", "advantage_scale")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    MAX_GRAD_NORM_FIELD_NUMBER: _ClassVar[int]
    CLIP_LOW_FIELD_NUMBER: _ClassVar[int]
    CLIP_HIGH_FIELD_NUMBER: _ClassVar[int]
    KL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_FRACTION_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    MINIBATCHES_FIELD_NUMBER: _ClassVar[int]
    ADVANTAGE_CLIP_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_ADVANTAGE_FIELD_NUMBER: _ClassVar[int]
    EMA_DECAY_FIELD_NUMBER: _ClassVar[int]
    WARMUP_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_RATIO_FIELD_NUMBER: _ClassVar[int]
    ADVANTAGE_SCALE_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    weight_decay: float
    max_grad_norm: float
    clip_low: float
    clip_high: float
    kl_weight: float
    timestep_fraction: float
    passes: int
    minibatches: int
    advantage_clip: float
    normalize_advantage: bool
    ema_decay: float
    warmup_steps: int
    timestep_window: float
    normalize_ratio: bool
    advantage_scale: str
    def __init__(self, learning_rate: _Optional[float] = ..., weight_decay: _Optional[float] = ..., max_grad_norm: _Optional[float] = ..., clip_low: _Optional[float] = ..., clip_high: _Optional[float] = ..., kl_weight: _Optional[float] = ..., timestep_fraction: _Optional[float] = ..., passes: _Optional[int] = ..., minibatches: _Optional[int] = ..., advantage_clip: _Optional[float] = ..., normalize_advantage: bool = ..., ema_decay: _Optional[float] = ..., warmup_steps: _Optional[int] = ..., timestep_window: _Optional[float] = ..., normalize_ratio: bool = ..., advantage_scale: _Optional[str] = ...) -> None: ...

class RewardTerm(_message.Message):
    __slots__ = ("name", "metric", "component", "weight", "transform", "normalization", "failed_value", "gate", "caution")
    NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    FAILED_VALUE_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    CAUTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    metric: str
    component: _oracle_pb2.Component
    weight: float
    transform: RewardTransform
    normalization: RewardNormalization
    failed_value: float
    gate: str
    caution: float
    def __init__(self, name: _Optional[str] = ..., metric: _Optional[str] = ..., component: _Optional[_Union[_oracle_pb2.Component, str]] = ..., weight: _Optional[float] = ..., transform: _Optional[_Union[RewardTransform, _Mapping]] = ..., normalization: _Optional[_Union[RewardNormalization, str]] = ..., failed_value: _Optional[float] = ..., gate: _Optional[str] = ..., caution: _Optional[float] = ...) -> None: ...

class RewardTransform(_message.Message):
    __slots__ = ("linear", "clamp", "target", "sigmoid", "threshold", "decay", "range")
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SIGMOID_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DECAY_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    linear: LinearTransform
    clamp: ClampTransform
    target: TargetTransform
    sigmoid: SigmoidTransform
    threshold: ThresholdTransform
    decay: DecayTransform
    range: RangeTransform
    def __init__(self, linear: _Optional[_Union[LinearTransform, _Mapping]] = ..., clamp: _Optional[_Union[ClampTransform, _Mapping]] = ..., target: _Optional[_Union[TargetTransform, _Mapping]] = ..., sigmoid: _Optional[_Union[SigmoidTransform, _Mapping]] = ..., threshold: _Optional[_Union[ThresholdTransform, _Mapping]] = ..., decay: _Optional[_Union[DecayTransform, _Mapping]] = ..., range: _Optional[_Union[RangeTransform, _Mapping]] = ...) -> None: ...

class LinearTransform(_message.Message):
    __slots__ = ("scale", "offset")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    scale: float
    offset: float
    def __init__(self, scale: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class ClampTransform(_message.Message):
    __slots__ = ("low", "high", "scale", "offset")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    scale: float
    offset: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., scale: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class TargetTransform(_message.Message):
    __slots__ = ("target", "width")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    target: float
    width: float
    def __init__(self, target: _Optional[float] = ..., width: _Optional[float] = ...) -> None: ...

class SigmoidTransform(_message.Message):
    __slots__ = ("midpoint", "width")
    MIDPOINT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    midpoint: float
    width: float
    def __init__(self, midpoint: _Optional[float] = ..., width: _Optional[float] = ...) -> None: ...

class ThresholdTransform(_message.Message):
    __slots__ = ("threshold", "below")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    below: bool
    def __init__(self, threshold: _Optional[float] = ..., below: bool = ...) -> None: ...

class DecayTransform(_message.Message):
    __slots__ = ("scale",)
    SCALE_FIELD_NUMBER: _ClassVar[int]
    scale: float
    def __init__(self, scale: _Optional[float] = ...) -> None: ...

class RangeTransform(_message.Message):
    __slots__ = ("low", "high", "width")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    width: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., width: _Optional[float] = ...) -> None: ...

class EvaluationSettings(_message.Message):
    __slots__ = ("n", "every", "n_during", "seeds", "sampler", "relax", "audit_calculator_ids", "bootstrap", "atom_counts", "cleanup", "finishing", "min_unique")
    N_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    N_DURING_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    RELAX_FIELD_NUMBER: _ClassVar[int]
    AUDIT_CALCULATOR_IDS_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    ATOM_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    FINISHING_FIELD_NUMBER: _ClassVar[int]
    MIN_UNIQUE_FIELD_NUMBER: _ClassVar[int]
    n: int
    every: int
    n_during: int
    seeds: _containers.RepeatedScalarFieldContainer[int]
    sampler: _generator_pb2.SamplerSettings
    relax: _oracle_pb2.RelaxOptions
    audit_calculator_ids: _containers.RepeatedScalarFieldContainer[str]
    bootstrap: int
    atom_counts: AtomCounts
    cleanup: _generator_pb2.Cleanup
    finishing: _generator_pb2.Finishing
    min_unique: float
    def __init__(self, n: _Optional[int] = ..., every: _Optional[int] = ..., n_during: _Optional[int] = ..., seeds: _Optional[_Iterable[int]] = ..., sampler: _Optional[_Union[_generator_pb2.SamplerSettings, _Mapping]] = ..., relax: _Optional[_Union[_oracle_pb2.RelaxOptions, _Mapping]] = ..., audit_calculator_ids: _Optional[_Iterable[str]] = ..., bootstrap: _Optional[int] = ..., atom_counts: _Optional[_Union[AtomCounts, _Mapping]] = ..., cleanup: _Optional[_Union[_generator_pb2.Cleanup, _Mapping]] = ..., finishing: _Optional[_Union[_generator_pb2.Finishing, _Mapping]] = ..., min_unique: _Optional[float] = ...) -> None: ...

class EarlyStopping(_message.Message):
    __slots__ = ("patience", "window", "min_delta", "min_unique", "max_training_s", "min_systems", "back_offs", "max_oracle_calls", "max_calculator_evaluations")
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    MIN_UNIQUE_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAINING_S_FIELD_NUMBER: _ClassVar[int]
    MIN_SYSTEMS_FIELD_NUMBER: _ClassVar[int]
    BACK_OFFS_FIELD_NUMBER: _ClassVar[int]
    MAX_ORACLE_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_CALCULATOR_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    patience: int
    window: int
    min_delta: float
    min_unique: float
    max_training_s: float
    min_systems: float
    back_offs: int
    max_oracle_calls: int
    max_calculator_evaluations: int
    def __init__(self, patience: _Optional[int] = ..., window: _Optional[int] = ..., min_delta: _Optional[float] = ..., min_unique: _Optional[float] = ..., max_training_s: _Optional[float] = ..., min_systems: _Optional[float] = ..., back_offs: _Optional[int] = ..., max_oracle_calls: _Optional[int] = ..., max_calculator_evaluations: _Optional[int] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("name", "state", "message", "config", "steps_done", "steps_total", "policy_version", "create_time", "update_time", "end_time", "base", "tuned", "last_step", "directory", "artifacts", "bundle_name", "bundle_digest", "score_provenance", "oracle_calls", "wall_s", "training_oracle_calls", "calculator_evaluations", "chosen_step")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    STEPS_DONE_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    TUNED_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SCORE_PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ORACLE_CALLS_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    TRAINING_ORACLE_CALLS_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_STEP_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: RunState
    message: str
    config: RunConfig
    steps_done: int
    steps_total: int
    policy_version: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    base: Evaluation
    tuned: Evaluation
    last_step: StepEvent
    directory: str
    artifacts: _containers.RepeatedScalarFieldContainer[str]
    bundle_name: str
    bundle_digest: str
    score_provenance: _oracle_pb2.ScoreProvenance
    oracle_calls: int
    wall_s: float
    training_oracle_calls: int
    calculator_evaluations: int
    chosen_step: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., message: _Optional[str] = ..., config: _Optional[_Union[RunConfig, _Mapping]] = ..., steps_done: _Optional[int] = ..., steps_total: _Optional[int] = ..., policy_version: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., base: _Optional[_Union[Evaluation, _Mapping]] = ..., tuned: _Optional[_Union[Evaluation, _Mapping]] = ..., last_step: _Optional[_Union[StepEvent, _Mapping]] = ..., directory: _Optional[str] = ..., artifacts: _Optional[_Iterable[str]] = ..., bundle_name: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., score_provenance: _Optional[_Union[_oracle_pb2.ScoreProvenance, _Mapping]] = ..., oracle_calls: _Optional[int] = ..., wall_s: _Optional[float] = ..., training_oracle_calls: _Optional[int] = ..., calculator_evaluations: _Optional[int] = ..., chosen_step: _Optional[int] = ...) -> None: ...

class StepEvent(_message.Message):
    __slots__ = ("step", "rollout_policy_version", "policy_version", "samples", "groups_dropped", "reward_mean", "reward_std", "terms", "ratio_deviation", "kl", "clip_fraction", "grad_norm", "loss", "learning_rate", "metrics", "timings", "oracle_calls", "cache_hits", "statuses", "warnings", "replayed", "kl_weight", "calculator_evaluations")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TimingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class StatusesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    REWARD_MEAN_FIELD_NUMBER: _ClassVar[int]
    REWARD_STD_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    RATIO_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    KL_FIELD_NUMBER: _ClassVar[int]
    CLIP_FRACTION_FIELD_NUMBER: _ClassVar[int]
    GRAD_NORM_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    ORACLE_CALLS_FIELD_NUMBER: _ClassVar[int]
    CACHE_HITS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    KL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    step: int
    rollout_policy_version: str
    policy_version: str
    samples: int
    groups_dropped: int
    reward_mean: float
    reward_std: float
    terms: _containers.RepeatedCompositeFieldContainer[RewardTermSummary]
    ratio_deviation: float
    kl: float
    clip_fraction: float
    grad_norm: float
    loss: float
    learning_rate: float
    metrics: _containers.ScalarMap[str, float]
    timings: _containers.ScalarMap[str, float]
    oracle_calls: int
    cache_hits: int
    statuses: _containers.ScalarMap[str, int]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    replayed: bool
    kl_weight: float
    calculator_evaluations: int
    def __init__(self, step: _Optional[int] = ..., rollout_policy_version: _Optional[str] = ..., policy_version: _Optional[str] = ..., samples: _Optional[int] = ..., groups_dropped: _Optional[int] = ..., reward_mean: _Optional[float] = ..., reward_std: _Optional[float] = ..., terms: _Optional[_Iterable[_Union[RewardTermSummary, _Mapping]]] = ..., ratio_deviation: _Optional[float] = ..., kl: _Optional[float] = ..., clip_fraction: _Optional[float] = ..., grad_norm: _Optional[float] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., timings: _Optional[_Mapping[str, float]] = ..., oracle_calls: _Optional[int] = ..., cache_hits: _Optional[int] = ..., statuses: _Optional[_Mapping[str, int]] = ..., warnings: _Optional[_Iterable[str]] = ..., replayed: bool = ..., kl_weight: _Optional[float] = ..., calculator_evaluations: _Optional[int] = ...) -> None: ...

class RewardTermSummary(_message.Message):
    __slots__ = ("name", "raw_mean", "mean", "std", "measured", "failed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RAW_MEAN_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    name: str
    raw_mean: float
    mean: float
    std: float
    measured: int
    failed: int
    def __init__(self, name: _Optional[str] = ..., raw_mean: _Optional[float] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ..., measured: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("policy_version", "n", "valid", "unique", "novel", "metastable", "stable", "sun", "msun", "relaxed", "charge_neutral", "metrics", "statuses", "generator", "oracle", "oracle_calls", "wall_s", "audits", "calculator_evaluations", "shares")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class StatusesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Estimate
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    METASTABLE_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    SUN_FIELD_NUMBER: _ClassVar[int]
    MSUN_FIELD_NUMBER: _ClassVar[int]
    RELAXED_FIELD_NUMBER: _ClassVar[int]
    CHARGE_NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_FIELD_NUMBER: _ClassVar[int]
    ORACLE_FIELD_NUMBER: _ClassVar[int]
    ORACLE_CALLS_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    policy_version: str
    n: int
    valid: Estimate
    unique: Estimate
    novel: Estimate
    metastable: Estimate
    stable: Estimate
    sun: Estimate
    msun: Estimate
    relaxed: RelaxedEvaluation
    charge_neutral: Estimate
    metrics: _containers.ScalarMap[str, float]
    statuses: _containers.ScalarMap[str, int]
    generator: _generator_pb2.GeneratorProvenance
    oracle: _oracle_pb2.ScoreProvenance
    oracle_calls: int
    wall_s: float
    audits: _containers.RepeatedCompositeFieldContainer[AuditSummary]
    calculator_evaluations: int
    shares: _containers.MessageMap[str, Estimate]
    def __init__(self, policy_version: _Optional[str] = ..., n: _Optional[int] = ..., valid: _Optional[_Union[Estimate, _Mapping]] = ..., unique: _Optional[_Union[Estimate, _Mapping]] = ..., novel: _Optional[_Union[Estimate, _Mapping]] = ..., metastable: _Optional[_Union[Estimate, _Mapping]] = ..., stable: _Optional[_Union[Estimate, _Mapping]] = ..., sun: _Optional[_Union[Estimate, _Mapping]] = ..., msun: _Optional[_Union[Estimate, _Mapping]] = ..., relaxed: _Optional[_Union[RelaxedEvaluation, _Mapping]] = ..., charge_neutral: _Optional[_Union[Estimate, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., statuses: _Optional[_Mapping[str, int]] = ..., generator: _Optional[_Union[_generator_pb2.GeneratorProvenance, _Mapping]] = ..., oracle: _Optional[_Union[_oracle_pb2.ScoreProvenance, _Mapping]] = ..., oracle_calls: _Optional[int] = ..., wall_s: _Optional[float] = ..., audits: _Optional[_Iterable[_Union[AuditSummary, _Mapping]]] = ..., calculator_evaluations: _Optional[int] = ..., shares: _Optional[_Mapping[str, Estimate]] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("value", "low", "high")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    value: float
    low: float
    high: float
    def __init__(self, value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class RelaxedEvaluation(_message.Message):
    __slots__ = ("metastable", "stable", "sun", "msun", "shares", "audits")
    class SharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Estimate
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...
    METASTABLE_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    SUN_FIELD_NUMBER: _ClassVar[int]
    MSUN_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    metastable: Estimate
    stable: Estimate
    sun: Estimate
    msun: Estimate
    shares: _containers.MessageMap[str, Estimate]
    audits: _containers.RepeatedCompositeFieldContainer[AuditSummary]
    def __init__(self, metastable: _Optional[_Union[Estimate, _Mapping]] = ..., stable: _Optional[_Union[Estimate, _Mapping]] = ..., sun: _Optional[_Union[Estimate, _Mapping]] = ..., msun: _Optional[_Union[Estimate, _Mapping]] = ..., shares: _Optional[_Mapping[str, Estimate]] = ..., audits: _Optional[_Iterable[_Union[AuditSummary, _Mapping]]] = ...) -> None: ...

class AuditSummary(_message.Message):
    __slots__ = ("calculator_id", "measured", "rank_correlation", "mean_shift", "msun_survival", "basis", "msun_claims", "flagged", "metastable", "msun", "agreement")
    CALCULATOR_ID_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    RANK_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    MEAN_SHIFT_FIELD_NUMBER: _ClassVar[int]
    MSUN_SURVIVAL_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    MSUN_CLAIMS_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    METASTABLE_FIELD_NUMBER: _ClassVar[int]
    MSUN_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    calculator_id: str
    measured: int
    rank_correlation: float
    mean_shift: float
    msun_survival: float
    basis: str
    msun_claims: int
    flagged: int
    metastable: Estimate
    msun: Estimate
    agreement: Estimate
    def __init__(self, calculator_id: _Optional[str] = ..., measured: _Optional[int] = ..., rank_correlation: _Optional[float] = ..., mean_shift: _Optional[float] = ..., msun_survival: _Optional[float] = ..., basis: _Optional[str] = ..., msun_claims: _Optional[int] = ..., flagged: _Optional[int] = ..., metastable: _Optional[_Union[Estimate, _Mapping]] = ..., msun: _Optional[_Union[Estimate, _Mapping]] = ..., agreement: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ("config", "validate_only")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    config: RunConfig
    validate_only: bool
    def __init__(self, config: _Optional[_Union[RunConfig, _Mapping]] = ..., validate_only: bool = ...) -> None: ...

class StartRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[RunState]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[RunState, str]]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchRunRequest(_message.Message):
    __slots__ = ("name", "after_sequence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_sequence: int
    def __init__(self, name: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchRunResponse(_message.Message):
    __slots__ = ("sequence", "time", "state", "step", "evaluation", "warning", "progress")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state: RunStateChange
    step: StepEvent
    evaluation: EvaluationEvent
    warning: str
    progress: Progress
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[RunStateChange, _Mapping]] = ..., step: _Optional[_Union[StepEvent, _Mapping]] = ..., evaluation: _Optional[_Union[EvaluationEvent, _Mapping]] = ..., warning: _Optional[str] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class RunStateChange(_message.Message):
    __slots__ = ("state", "message")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    state: RunState
    message: str
    def __init__(self, state: _Optional[_Union[RunState, str]] = ..., message: _Optional[str] = ...) -> None: ...

class EvaluationEvent(_message.Message):
    __slots__ = ("step", "evaluation", "choosing")
    STEP_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    CHOOSING_FIELD_NUMBER: _ClassVar[int]
    step: int
    evaluation: Evaluation
    choosing: bool
    def __init__(self, step: _Optional[int] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., choosing: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "done", "total")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class StopRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class StopRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class ResumeRunRequest(_message.Message):
    __slots__ = ("name", "steps", "from_step")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    name: str
    steps: int
    from_step: int
    def __init__(self, name: _Optional[str] = ..., steps: _Optional[int] = ..., from_step: _Optional[int] = ...) -> None: ...

class ResumeRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class DeleteRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("run_name", "step", "settings", "atom_counts", "score_settings", "seed", "conditions")
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ATOM_COUNTS_FIELD_NUMBER: _ClassVar[int]
    SCORE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    run_name: str
    step: int
    settings: EvaluationSettings
    atom_counts: AtomCounts
    score_settings: _oracle_pb2.ScoreSettings
    seed: int
    conditions: _containers.RepeatedCompositeFieldContainer[_generator_pb2.Condition]
    def __init__(self, run_name: _Optional[str] = ..., step: _Optional[int] = ..., settings: _Optional[_Union[EvaluationSettings, _Mapping]] = ..., atom_counts: _Optional[_Union[AtomCounts, _Mapping]] = ..., score_settings: _Optional[_Union[_oracle_pb2.ScoreSettings, _Mapping]] = ..., seed: _Optional[int] = ..., conditions: _Optional[_Iterable[_Union[_generator_pb2.Condition, _Mapping]]] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("progress", "evaluation")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    evaluation: Evaluation
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ...) -> None: ...

class PublishPolicyRequest(_message.Message):
    __slots__ = ("run_name", "step")
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    run_name: str
    step: int
    def __init__(self, run_name: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class PublishPolicyResponse(_message.Message):
    __slots__ = ("policy_version", "step")
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    policy_version: str
    step: int
    def __init__(self, policy_version: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("run_name", "artifact")
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    run_name: str
    artifact: str
    def __init__(self, run_name: _Optional[str] = ..., artifact: _Optional[str] = ...) -> None: ...

class GetArtifactResponse(_message.Message):
    __slots__ = ("data", "media_type", "total_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    media_type: str
    total_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., total_bytes: _Optional[int] = ...) -> None: ...
