from xenolith.v1 import crystal_pb2 as _crystal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConditionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONDITION_KIND_UNSPECIFIED: _ClassVar[ConditionKind]
    CONDITION_KIND_COMPOSITION: _ClassVar[ConditionKind]
    CONDITION_KIND_CHEMICAL_SYSTEM: _ClassVar[ConditionKind]
    CONDITION_KIND_PROPERTY: _ClassVar[ConditionKind]

class WeightsKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WEIGHTS_KIND_UNSPECIFIED: _ClassVar[WeightsKind]
    WEIGHTS_KIND_FULL: _ClassVar[WeightsKind]
    WEIGHTS_KIND_ADAPTER: _ClassVar[WeightsKind]
CONDITION_KIND_UNSPECIFIED: ConditionKind
CONDITION_KIND_COMPOSITION: ConditionKind
CONDITION_KIND_CHEMICAL_SYSTEM: ConditionKind
CONDITION_KIND_PROPERTY: ConditionKind
WEIGHTS_KIND_UNSPECIFIED: WeightsKind
WEIGHTS_KIND_FULL: WeightsKind
WEIGHTS_KIND_ADAPTER: WeightsKind

class GeneratorServiceDescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GeneratorServiceDescribeResponse(_message.Message):
    __slots__ = ("service_version", "bundle_name", "bundle_digest", "autoencoder_digest", "policy_version", "max_atoms", "max_samples", "latent_dim", "embedding_dim", "num_timesteps", "default_sampler", "atom_count_prior", "elements", "condition_kinds", "condition_properties", "denoiser_config_json", "card_json", "device", "default_finishing", "finisher_digest", "limits")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AUTOENCODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_ATOMS_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LATENT_DIM_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_DIM_FIELD_NUMBER: _ClassVar[int]
    NUM_TIMESTEPS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SAMPLER_FIELD_NUMBER: _ClassVar[int]
    ATOM_COUNT_PRIOR_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_KINDS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    DENOISER_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    CARD_JSON_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FINISHING_FIELD_NUMBER: _ClassVar[int]
    FINISHER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    service_version: str
    bundle_name: str
    bundle_digest: str
    autoencoder_digest: str
    policy_version: str
    max_atoms: int
    max_samples: int
    latent_dim: int
    embedding_dim: int
    num_timesteps: int
    default_sampler: SamplerSettings
    atom_count_prior: _containers.RepeatedCompositeFieldContainer[AtomCountProbability]
    elements: _containers.RepeatedScalarFieldContainer[int]
    condition_kinds: _containers.RepeatedScalarFieldContainer[ConditionKind]
    condition_properties: _containers.RepeatedScalarFieldContainer[str]
    denoiser_config_json: str
    card_json: str
    device: str
    default_finishing: Finishing
    finisher_digest: str
    limits: _containers.ScalarMap[str, float]
    def __init__(self, service_version: _Optional[str] = ..., bundle_name: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., autoencoder_digest: _Optional[str] = ..., policy_version: _Optional[str] = ..., max_atoms: _Optional[int] = ..., max_samples: _Optional[int] = ..., latent_dim: _Optional[int] = ..., embedding_dim: _Optional[int] = ..., num_timesteps: _Optional[int] = ..., default_sampler: _Optional[_Union[SamplerSettings, _Mapping]] = ..., atom_count_prior: _Optional[_Iterable[_Union[AtomCountProbability, _Mapping]]] = ..., elements: _Optional[_Iterable[int]] = ..., condition_kinds: _Optional[_Iterable[_Union[ConditionKind, str]]] = ..., condition_properties: _Optional[_Iterable[str]] = ..., denoiser_config_json: _Optional[str] = ..., card_json: _Optional[str] = ..., device: _Optional[str] = ..., default_finishing: _Optional[_Union[Finishing, _Mapping]] = ..., finisher_digest: _Optional[str] = ..., limits: _Optional[_Mapping[str, float]] = ...) -> None: ...

class AtomCountProbability(_message.Message):
    __slots__ = ("num_atoms", "probability")
    NUM_ATOMS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    num_atoms: int
    probability: float
    def __init__(self, num_atoms: _Optional[int] = ..., probability: _Optional[float] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("composition", "chemical_system", "properties")
    class PropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    COMPOSITION_FIELD_NUMBER: _ClassVar[int]
    CHEMICAL_SYSTEM_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    composition: _containers.RepeatedCompositeFieldContainer[ElementAmount]
    chemical_system: _containers.RepeatedScalarFieldContainer[int]
    properties: _containers.ScalarMap[str, float]
    def __init__(self, composition: _Optional[_Iterable[_Union[ElementAmount, _Mapping]]] = ..., chemical_system: _Optional[_Iterable[int]] = ..., properties: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ElementAmount(_message.Message):
    __slots__ = ("number", "amount")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    number: int
    amount: float
    def __init__(self, number: _Optional[int] = ..., amount: _Optional[float] = ...) -> None: ...

class SamplerSettings(_message.Message):
    __slots__ = ("steps", "eta", "guidance_scale")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    steps: int
    eta: float
    guidance_scale: float
    def __init__(self, steps: _Optional[int] = ..., eta: _Optional[float] = ..., guidance_scale: _Optional[float] = ...) -> None: ...

class Cleanup(_message.Message):
    __slots__ = ("symmetrize_tolerance", "relax_steps")
    SYMMETRIZE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    RELAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    symmetrize_tolerance: float
    relax_steps: int
    def __init__(self, symmetrize_tolerance: _Optional[float] = ..., relax_steps: _Optional[int] = ...) -> None: ...

class Finishing(_message.Message):
    __slots__ = ("steps", "noise")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    steps: int
    noise: float
    def __init__(self, steps: _Optional[int] = ..., noise: _Optional[float] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("num_atoms", "num_samples", "conditions", "seed", "sample_seeds", "initial_noise_seeds", "sampler", "cleanup", "return_trajectory", "return_embeddings", "expected_policy_version", "expected_bundle_digest", "max_samples_per_message", "finishing")
    NUM_ATOMS_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SEEDS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_NOISE_SEEDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    RETURN_TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    RETURN_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_PER_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINISHING_FIELD_NUMBER: _ClassVar[int]
    num_atoms: _containers.RepeatedScalarFieldContainer[int]
    num_samples: int
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    seed: int
    sample_seeds: _containers.RepeatedScalarFieldContainer[int]
    initial_noise_seeds: _containers.RepeatedScalarFieldContainer[int]
    sampler: SamplerSettings
    cleanup: Cleanup
    return_trajectory: bool
    return_embeddings: bool
    expected_policy_version: str
    expected_bundle_digest: str
    max_samples_per_message: int
    finishing: Finishing
    def __init__(self, num_atoms: _Optional[_Iterable[int]] = ..., num_samples: _Optional[int] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., seed: _Optional[int] = ..., sample_seeds: _Optional[_Iterable[int]] = ..., initial_noise_seeds: _Optional[_Iterable[int]] = ..., sampler: _Optional[_Union[SamplerSettings, _Mapping]] = ..., cleanup: _Optional[_Union[Cleanup, _Mapping]] = ..., return_trajectory: bool = ..., return_embeddings: bool = ..., expected_policy_version: _Optional[str] = ..., expected_bundle_digest: _Optional[str] = ..., max_samples_per_message: _Optional[int] = ..., finishing: _Optional[_Union[Finishing, _Mapping]] = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("sample_indices", "sample_seeds", "crystals", "latents", "trajectory", "embeddings", "provenance")
    SAMPLE_INDICES_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SEEDS_FIELD_NUMBER: _ClassVar[int]
    CRYSTALS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    sample_indices: _containers.RepeatedScalarFieldContainer[int]
    sample_seeds: _containers.RepeatedScalarFieldContainer[int]
    crystals: _crystal_pb2.CrystalBatch
    latents: _crystal_pb2.Tensor
    trajectory: Trajectory
    embeddings: _crystal_pb2.Tensor
    provenance: GeneratorProvenance
    def __init__(self, sample_indices: _Optional[_Iterable[int]] = ..., sample_seeds: _Optional[_Iterable[int]] = ..., crystals: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., latents: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., trajectory: _Optional[_Union[Trajectory, _Mapping]] = ..., embeddings: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., provenance: _Optional[_Union[GeneratorProvenance, _Mapping]] = ...) -> None: ...

class Trajectory(_message.Message):
    __slots__ = ("latents", "timesteps", "old_log_probs")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    TIMESTEPS_FIELD_NUMBER: _ClassVar[int]
    OLD_LOG_PROBS_FIELD_NUMBER: _ClassVar[int]
    latents: _crystal_pb2.Tensor
    timesteps: _containers.RepeatedScalarFieldContainer[int]
    old_log_probs: _crystal_pb2.Tensor
    def __init__(self, latents: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., timesteps: _Optional[_Iterable[int]] = ..., old_log_probs: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ...) -> None: ...

class GeneratorProvenance(_message.Message):
    __slots__ = ("policy_version", "bundle_name", "bundle_digest", "autoencoder_digest", "sampler", "cleanup", "service_version", "finishing", "finisher_digest")
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AUTOENCODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    FINISHING_FIELD_NUMBER: _ClassVar[int]
    FINISHER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    policy_version: str
    bundle_name: str
    bundle_digest: str
    autoencoder_digest: str
    sampler: SamplerSettings
    cleanup: _containers.RepeatedScalarFieldContainer[str]
    service_version: str
    finishing: Finishing
    finisher_digest: str
    def __init__(self, policy_version: _Optional[str] = ..., bundle_name: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., autoencoder_digest: _Optional[str] = ..., sampler: _Optional[_Union[SamplerSettings, _Mapping]] = ..., cleanup: _Optional[_Iterable[str]] = ..., service_version: _Optional[str] = ..., finishing: _Optional[_Union[Finishing, _Mapping]] = ..., finisher_digest: _Optional[str] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("crystals", "return_embeddings", "expected_autoencoder_digest", "return_log_variance")
    CRYSTALS_FIELD_NUMBER: _ClassVar[int]
    RETURN_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AUTOENCODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RETURN_LOG_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    crystals: _crystal_pb2.CrystalBatch
    return_embeddings: bool
    expected_autoencoder_digest: str
    return_log_variance: bool
    def __init__(self, crystals: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., return_embeddings: bool = ..., expected_autoencoder_digest: _Optional[str] = ..., return_log_variance: bool = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("statuses", "messages", "latents", "embeddings", "log_variance", "provenance")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    LOG_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[_crystal_pb2.StructureStatus]
    messages: _containers.RepeatedScalarFieldContainer[str]
    latents: _crystal_pb2.Tensor
    embeddings: _crystal_pb2.Tensor
    log_variance: _crystal_pb2.Tensor
    provenance: GeneratorProvenance
    def __init__(self, statuses: _Optional[_Iterable[_Union[_crystal_pb2.StructureStatus, str]]] = ..., messages: _Optional[_Iterable[str]] = ..., latents: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., embeddings: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., log_variance: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., provenance: _Optional[_Union[GeneratorProvenance, _Mapping]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("num_atoms", "latents", "expected_autoencoder_digest", "cleanup", "finishing")
    NUM_ATOMS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AUTOENCODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    FINISHING_FIELD_NUMBER: _ClassVar[int]
    num_atoms: _containers.RepeatedScalarFieldContainer[int]
    latents: _crystal_pb2.Tensor
    expected_autoencoder_digest: str
    cleanup: Cleanup
    finishing: Finishing
    def __init__(self, num_atoms: _Optional[_Iterable[int]] = ..., latents: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., expected_autoencoder_digest: _Optional[str] = ..., cleanup: _Optional[_Union[Cleanup, _Mapping]] = ..., finishing: _Optional[_Union[Finishing, _Mapping]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("crystals", "provenance")
    CRYSTALS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    crystals: _crystal_pb2.CrystalBatch
    provenance: GeneratorProvenance
    def __init__(self, crystals: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., provenance: _Optional[_Union[GeneratorProvenance, _Mapping]] = ...) -> None: ...

class WeightsHeader(_message.Message):
    __slots__ = ("kind", "policy_version", "expected_policy_version", "base_policy_version", "bundle_digest", "config_json", "tensors", "total_bytes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    kind: WeightsKind
    policy_version: str
    expected_policy_version: str
    base_policy_version: str
    bundle_digest: str
    config_json: str
    tensors: _containers.RepeatedCompositeFieldContainer[_crystal_pb2.TensorSpec]
    total_bytes: int
    def __init__(self, kind: _Optional[_Union[WeightsKind, str]] = ..., policy_version: _Optional[str] = ..., expected_policy_version: _Optional[str] = ..., base_policy_version: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., config_json: _Optional[str] = ..., tensors: _Optional[_Iterable[_Union[_crystal_pb2.TensorSpec, _Mapping]]] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class WeightsChunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class WeightsTrailer(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class UpdateWeightsRequest(_message.Message):
    __slots__ = ("header", "chunk", "trailer")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    header: WeightsHeader
    chunk: WeightsChunk
    trailer: WeightsTrailer
    def __init__(self, header: _Optional[_Union[WeightsHeader, _Mapping]] = ..., chunk: _Optional[_Union[WeightsChunk, _Mapping]] = ..., trailer: _Optional[_Union[WeightsTrailer, _Mapping]] = ...) -> None: ...

class UpdateWeightsResponse(_message.Message):
    __slots__ = ("policy_version", "previous_policy_version", "sha256")
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    policy_version: str
    previous_policy_version: str
    sha256: str
    def __init__(self, policy_version: _Optional[str] = ..., previous_policy_version: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class GetWeightsRequest(_message.Message):
    __slots__ = ("kind", "expected_policy_version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: WeightsKind
    expected_policy_version: str
    def __init__(self, kind: _Optional[_Union[WeightsKind, str]] = ..., expected_policy_version: _Optional[str] = ...) -> None: ...

class GetWeightsResponse(_message.Message):
    __slots__ = ("header", "chunk", "trailer")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    header: WeightsHeader
    chunk: WeightsChunk
    trailer: WeightsTrailer
    def __init__(self, header: _Optional[_Union[WeightsHeader, _Mapping]] = ..., chunk: _Optional[_Union[WeightsChunk, _Mapping]] = ..., trailer: _Optional[_Union[WeightsTrailer, _Mapping]] = ...) -> None: ...
