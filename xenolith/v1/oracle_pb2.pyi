from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xenolith.v1 import crystal_pb2 as _crystal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Component(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPONENT_UNSPECIFIED: _ClassVar[Component]
    COMPONENT_VALIDITY: _ClassVar[Component]
    COMPONENT_STABILITY: _ClassVar[Component]
    COMPONENT_NOVELTY: _ClassVar[Component]
    COMPONENT_UNIQUENESS: _ClassVar[Component]
    COMPONENT_STRUCTURE_DIVERSITY: _ClassVar[Component]
    COMPONENT_COMPOSITION_DIVERSITY: _ClassVar[Component]
    COMPONENT_PROPERTIES: _ClassVar[Component]
    COMPONENT_AUDIT: _ClassVar[Component]
    COMPONENT_CONTINUOUS: _ClassVar[Component]

class RelaxAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELAX_ALGORITHM_UNSPECIFIED: _ClassVar[RelaxAlgorithm]
    RELAX_ALGORITHM_FIRE: _ClassVar[RelaxAlgorithm]
    RELAX_ALGORITHM_LBFGS: _ClassVar[RelaxAlgorithm]
    RELAX_ALGORITHM_BFGS: _ClassVar[RelaxAlgorithm]

class SamenessMetric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAMENESS_METRIC_UNSPECIFIED: _ClassVar[SamenessMetric]
    SAMENESS_METRIC_AMD: _ClassVar[SamenessMetric]
    SAMENESS_METRIC_STRUCTURE_MATCHER: _ClassVar[SamenessMetric]

class OperationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATE_UNSPECIFIED: _ClassVar[OperationState]
    OPERATION_STATE_QUEUED: _ClassVar[OperationState]
    OPERATION_STATE_RUNNING: _ClassVar[OperationState]
    OPERATION_STATE_SUCCEEDED: _ClassVar[OperationState]
    OPERATION_STATE_FAILED: _ClassVar[OperationState]
    OPERATION_STATE_CANCELLED: _ClassVar[OperationState]
COMPONENT_UNSPECIFIED: Component
COMPONENT_VALIDITY: Component
COMPONENT_STABILITY: Component
COMPONENT_NOVELTY: Component
COMPONENT_UNIQUENESS: Component
COMPONENT_STRUCTURE_DIVERSITY: Component
COMPONENT_COMPOSITION_DIVERSITY: Component
COMPONENT_PROPERTIES: Component
COMPONENT_AUDIT: Component
COMPONENT_CONTINUOUS: Component
RELAX_ALGORITHM_UNSPECIFIED: RelaxAlgorithm
RELAX_ALGORITHM_FIRE: RelaxAlgorithm
RELAX_ALGORITHM_LBFGS: RelaxAlgorithm
RELAX_ALGORITHM_BFGS: RelaxAlgorithm
SAMENESS_METRIC_UNSPECIFIED: SamenessMetric
SAMENESS_METRIC_AMD: SamenessMetric
SAMENESS_METRIC_STRUCTURE_MATCHER: SamenessMetric
OPERATION_STATE_UNSPECIFIED: OperationState
OPERATION_STATE_QUEUED: OperationState
OPERATION_STATE_RUNNING: OperationState
OPERATION_STATE_SUCCEEDED: OperationState
OPERATION_STATE_FAILED: OperationState
OPERATION_STATE_CANCELLED: OperationState
MEASURED_FIELD_NUMBER: _ClassVar[int]
measured: _descriptor.FieldDescriptor

class Measured(_message.Message):
    __slots__ = ("component", "unit", "of_the_batch", "on_demand")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OF_THE_BATCH_FIELD_NUMBER: _ClassVar[int]
    ON_DEMAND_FIELD_NUMBER: _ClassVar[int]
    component: Component
    unit: str
    of_the_batch: bool
    on_demand: bool
    def __init__(self, component: _Optional[_Union[Component, str]] = ..., unit: _Optional[str] = ..., of_the_batch: bool = ..., on_demand: bool = ...) -> None: ...

class OracleServiceDescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OracleServiceDescribeResponse(_message.Message):
    __slots__ = ("service_version", "components", "calculators", "references", "properties", "max_atoms", "max_batch", "validity_limits", "cache_backend", "supports_operations", "audit_calculators", "limits")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    CALCULATORS_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    MAX_ATOMS_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_LIMITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_BACKEND_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_CALCULATORS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    service_version: str
    components: _containers.RepeatedScalarFieldContainer[Component]
    calculators: _containers.RepeatedCompositeFieldContainer[CalculatorInfo]
    references: _containers.RepeatedCompositeFieldContainer[ReferenceInfo]
    properties: _containers.RepeatedCompositeFieldContainer[PropertyInfo]
    max_atoms: int
    max_batch: int
    validity_limits: ValidityLimits
    cache_backend: str
    supports_operations: bool
    audit_calculators: _containers.RepeatedCompositeFieldContainer[CalculatorInfo]
    limits: _containers.ScalarMap[str, float]
    def __init__(self, service_version: _Optional[str] = ..., components: _Optional[_Iterable[_Union[Component, str]]] = ..., calculators: _Optional[_Iterable[_Union[CalculatorInfo, _Mapping]]] = ..., references: _Optional[_Iterable[_Union[ReferenceInfo, _Mapping]]] = ..., properties: _Optional[_Iterable[_Union[PropertyInfo, _Mapping]]] = ..., max_atoms: _Optional[int] = ..., max_batch: _Optional[int] = ..., validity_limits: _Optional[_Union[ValidityLimits, _Mapping]] = ..., cache_backend: _Optional[str] = ..., supports_operations: bool = ..., audit_calculators: _Optional[_Iterable[_Union[CalculatorInfo, _Mapping]]] = ..., limits: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CalculatorInfo(_message.Message):
    __slots__ = ("id", "version", "scheme", "elements", "supports_relaxation", "long_running", "licence", "settings")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    SUPPORTS_RELAXATION_FIELD_NUMBER: _ClassVar[int]
    LONG_RUNNING_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    scheme: str
    elements: _containers.RepeatedScalarFieldContainer[int]
    supports_relaxation: bool
    long_running: bool
    licence: str
    settings: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., scheme: _Optional[str] = ..., elements: _Optional[_Iterable[int]] = ..., supports_relaxation: bool = ..., long_running: bool = ..., licence: _Optional[str] = ..., settings: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReferenceInfo(_message.Message):
    __slots__ = ("id", "num_structures", "hull_id", "hull_calculator_id", "hull_elements", "licence", "hull_scheme", "has_structures")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUM_STRUCTURES_FIELD_NUMBER: _ClassVar[int]
    HULL_ID_FIELD_NUMBER: _ClassVar[int]
    HULL_CALCULATOR_ID_FIELD_NUMBER: _ClassVar[int]
    HULL_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    HULL_SCHEME_FIELD_NUMBER: _ClassVar[int]
    HAS_STRUCTURES_FIELD_NUMBER: _ClassVar[int]
    id: str
    num_structures: int
    hull_id: str
    hull_calculator_id: str
    hull_elements: _containers.RepeatedScalarFieldContainer[int]
    licence: str
    hull_scheme: str
    has_structures: bool
    def __init__(self, id: _Optional[str] = ..., num_structures: _Optional[int] = ..., hull_id: _Optional[str] = ..., hull_calculator_id: _Optional[str] = ..., hull_elements: _Optional[_Iterable[int]] = ..., licence: _Optional[str] = ..., hull_scheme: _Optional[str] = ..., has_structures: bool = ...) -> None: ...

class PropertyInfo(_message.Message):
    __slots__ = ("name", "unit", "description", "digest", "licence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    description: str
    digest: str
    licence: str
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., description: _Optional[str] = ..., digest: _Optional[str] = ..., licence: _Optional[str] = ...) -> None: ...

class ValidityLimits(_message.Message):
    __slots__ = ("min_distance", "min_density", "max_density", "min_volume_per_atom", "max_volume_per_atom", "max_cell_condition")
    MIN_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    MIN_DENSITY_FIELD_NUMBER: _ClassVar[int]
    MAX_DENSITY_FIELD_NUMBER: _ClassVar[int]
    MIN_VOLUME_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    MAX_VOLUME_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    MAX_CELL_CONDITION_FIELD_NUMBER: _ClassVar[int]
    min_distance: float
    min_density: float
    max_density: float
    min_volume_per_atom: float
    max_volume_per_atom: float
    max_cell_condition: float
    def __init__(self, min_distance: _Optional[float] = ..., min_density: _Optional[float] = ..., max_density: _Optional[float] = ..., min_volume_per_atom: _Optional[float] = ..., max_volume_per_atom: _Optional[float] = ..., max_cell_condition: _Optional[float] = ...) -> None: ...

class ScoreSettings(_message.Message):
    __slots__ = ("calculator_id", "calculator_settings", "reference_id", "relax", "sameness", "properties", "audit_calculator_ids", "structure_timeout_s", "return_amd", "return_embeddings", "return_forces", "use_cache")
    CALCULATOR_ID_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_ID_FIELD_NUMBER: _ClassVar[int]
    RELAX_FIELD_NUMBER: _ClassVar[int]
    SAMENESS_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    AUDIT_CALCULATOR_IDS_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    RETURN_AMD_FIELD_NUMBER: _ClassVar[int]
    RETURN_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    RETURN_FORCES_FIELD_NUMBER: _ClassVar[int]
    USE_CACHE_FIELD_NUMBER: _ClassVar[int]
    calculator_id: str
    calculator_settings: _struct_pb2.Struct
    reference_id: str
    relax: RelaxOptions
    sameness: SamenessOptions
    properties: _containers.RepeatedScalarFieldContainer[str]
    audit_calculator_ids: _containers.RepeatedScalarFieldContainer[str]
    structure_timeout_s: float
    return_amd: bool
    return_embeddings: bool
    return_forces: bool
    use_cache: bool
    def __init__(self, calculator_id: _Optional[str] = ..., calculator_settings: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., reference_id: _Optional[str] = ..., relax: _Optional[_Union[RelaxOptions, _Mapping]] = ..., sameness: _Optional[_Union[SamenessOptions, _Mapping]] = ..., properties: _Optional[_Iterable[str]] = ..., audit_calculator_ids: _Optional[_Iterable[str]] = ..., structure_timeout_s: _Optional[float] = ..., return_amd: bool = ..., return_embeddings: bool = ..., return_forces: bool = ..., use_cache: bool = ...) -> None: ...

class RelaxOptions(_message.Message):
    __slots__ = ("max_steps", "fmax", "relax_cell", "fix_symmetry", "algorithm", "pressure_gpa", "return_crystals")
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    FMAX_FIELD_NUMBER: _ClassVar[int]
    RELAX_CELL_FIELD_NUMBER: _ClassVar[int]
    FIX_SYMMETRY_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_GPA_FIELD_NUMBER: _ClassVar[int]
    RETURN_CRYSTALS_FIELD_NUMBER: _ClassVar[int]
    max_steps: int
    fmax: float
    relax_cell: bool
    fix_symmetry: bool
    algorithm: RelaxAlgorithm
    pressure_gpa: float
    return_crystals: bool
    def __init__(self, max_steps: _Optional[int] = ..., fmax: _Optional[float] = ..., relax_cell: bool = ..., fix_symmetry: bool = ..., algorithm: _Optional[_Union[RelaxAlgorithm, str]] = ..., pressure_gpa: _Optional[float] = ..., return_crystals: bool = ...) -> None: ...

class SamenessOptions(_message.Message):
    __slots__ = ("metric", "amd_tolerance", "length_tolerance", "site_tolerance", "angle_tolerance")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    AMD_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    SITE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    ANGLE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    metric: SamenessMetric
    amd_tolerance: float
    length_tolerance: float
    site_tolerance: float
    angle_tolerance: float
    def __init__(self, metric: _Optional[_Union[SamenessMetric, str]] = ..., amd_tolerance: _Optional[float] = ..., length_tolerance: _Optional[float] = ..., site_tolerance: _Optional[float] = ..., angle_tolerance: _Optional[float] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("crystals", "components", "settings", "known", "expected_settings_digest")
    CRYSTALS_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SETTINGS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    crystals: _crystal_pb2.CrystalBatch
    components: _containers.RepeatedScalarFieldContainer[Component]
    settings: ScoreSettings
    known: _crystal_pb2.CrystalBatch
    expected_settings_digest: str
    def __init__(self, crystals: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., components: _Optional[_Iterable[_Union[Component, str]]] = ..., settings: _Optional[_Union[ScoreSettings, _Mapping]] = ..., known: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., expected_settings_digest: _Optional[str] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("scores", "provenance", "stats", "warnings")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedCompositeFieldContainer[StructureScore]
    provenance: ScoreProvenance
    stats: ScoreStats
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, scores: _Optional[_Iterable[_Union[StructureScore, _Mapping]]] = ..., provenance: _Optional[_Union[ScoreProvenance, _Mapping]] = ..., stats: _Optional[_Union[ScoreStats, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class StructureScore(_message.Message):
    __slots__ = ("status", "message", "components", "formula", "valid", "min_distance", "density", "volume_per_atom", "charge_neutral", "energy_per_atom", "e_above_hull", "formation_energy_per_atom", "relaxation", "forces", "novel", "nearest_reference", "amd_distance", "elmd_distance", "unique", "duplicate_of", "batch_amd_distance", "structure_diversity", "composition_diversity", "properties", "audits", "amd", "embedding", "decomposition", "continuous_uniqueness", "continuous_novelty", "message_parts", "raw_energy_per_atom", "committee_e_above_hull", "committee_spread")
    class PropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    MIN_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    VOLUME_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    CHARGE_NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    E_ABOVE_HULL_FIELD_NUMBER: _ClassVar[int]
    FORMATION_ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    RELAXATION_FIELD_NUMBER: _ClassVar[int]
    FORCES_FIELD_NUMBER: _ClassVar[int]
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    NEAREST_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMD_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    ELMD_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    BATCH_AMD_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    COMPOSITION_DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    AMD_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    DECOMPOSITION_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_UNIQUENESS_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_NOVELTY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARTS_FIELD_NUMBER: _ClassVar[int]
    RAW_ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    COMMITTEE_E_ABOVE_HULL_FIELD_NUMBER: _ClassVar[int]
    COMMITTEE_SPREAD_FIELD_NUMBER: _ClassVar[int]
    status: _crystal_pb2.StructureStatus
    message: str
    components: _containers.RepeatedCompositeFieldContainer[ComponentResult]
    formula: str
    valid: bool
    min_distance: float
    density: float
    volume_per_atom: float
    charge_neutral: bool
    energy_per_atom: float
    e_above_hull: float
    formation_energy_per_atom: float
    relaxation: Relaxation
    forces: Forces
    novel: bool
    nearest_reference: str
    amd_distance: float
    elmd_distance: float
    unique: bool
    duplicate_of: int
    batch_amd_distance: float
    structure_diversity: float
    composition_diversity: float
    properties: _containers.ScalarMap[str, float]
    audits: _containers.RepeatedCompositeFieldContainer[Audit]
    amd: _containers.RepeatedScalarFieldContainer[float]
    embedding: _containers.RepeatedScalarFieldContainer[float]
    decomposition: _containers.RepeatedCompositeFieldContainer[HullPhase]
    continuous_uniqueness: float
    continuous_novelty: float
    message_parts: _containers.RepeatedCompositeFieldContainer[MessagePart]
    raw_energy_per_atom: float
    committee_e_above_hull: float
    committee_spread: float
    def __init__(self, status: _Optional[_Union[_crystal_pb2.StructureStatus, str]] = ..., message: _Optional[str] = ..., components: _Optional[_Iterable[_Union[ComponentResult, _Mapping]]] = ..., formula: _Optional[str] = ..., valid: bool = ..., min_distance: _Optional[float] = ..., density: _Optional[float] = ..., volume_per_atom: _Optional[float] = ..., charge_neutral: bool = ..., energy_per_atom: _Optional[float] = ..., e_above_hull: _Optional[float] = ..., formation_energy_per_atom: _Optional[float] = ..., relaxation: _Optional[_Union[Relaxation, _Mapping]] = ..., forces: _Optional[_Union[Forces, _Mapping]] = ..., novel: bool = ..., nearest_reference: _Optional[str] = ..., amd_distance: _Optional[float] = ..., elmd_distance: _Optional[float] = ..., unique: bool = ..., duplicate_of: _Optional[int] = ..., batch_amd_distance: _Optional[float] = ..., structure_diversity: _Optional[float] = ..., composition_diversity: _Optional[float] = ..., properties: _Optional[_Mapping[str, float]] = ..., audits: _Optional[_Iterable[_Union[Audit, _Mapping]]] = ..., amd: _Optional[_Iterable[float]] = ..., embedding: _Optional[_Iterable[float]] = ..., decomposition: _Optional[_Iterable[_Union[HullPhase, _Mapping]]] = ..., continuous_uniqueness: _Optional[float] = ..., continuous_novelty: _Optional[float] = ..., message_parts: _Optional[_Iterable[_Union[MessagePart, _Mapping]]] = ..., raw_energy_per_atom: _Optional[float] = ..., committee_e_above_hull: _Optional[float] = ..., committee_spread: _Optional[float] = ...) -> None: ...

class MessagePart(_message.Message):
    __slots__ = ("text", "structure")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    structure: int
    def __init__(self, text: _Optional[str] = ..., structure: _Optional[int] = ...) -> None: ...

class HullPhase(_message.Message):
    __slots__ = ("id", "formula", "fraction")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    formula: str
    fraction: float
    def __init__(self, id: _Optional[str] = ..., formula: _Optional[str] = ..., fraction: _Optional[float] = ...) -> None: ...

class ComponentResult(_message.Message):
    __slots__ = ("component", "status", "message", "cached", "message_parts")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARTS_FIELD_NUMBER: _ClassVar[int]
    component: Component
    status: _crystal_pb2.StructureStatus
    message: str
    cached: bool
    message_parts: _containers.RepeatedCompositeFieldContainer[MessagePart]
    def __init__(self, component: _Optional[_Union[Component, str]] = ..., status: _Optional[_Union[_crystal_pb2.StructureStatus, str]] = ..., message: _Optional[str] = ..., cached: bool = ..., message_parts: _Optional[_Iterable[_Union[MessagePart, _Mapping]]] = ...) -> None: ...

class Relaxation(_message.Message):
    __slots__ = ("status", "message", "converged", "steps", "max_force", "energy_per_atom", "e_above_hull", "rmsd", "volume_ratio", "crystal", "message_parts")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_FORCE_FIELD_NUMBER: _ClassVar[int]
    ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    E_ABOVE_HULL_FIELD_NUMBER: _ClassVar[int]
    RMSD_FIELD_NUMBER: _ClassVar[int]
    VOLUME_RATIO_FIELD_NUMBER: _ClassVar[int]
    CRYSTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARTS_FIELD_NUMBER: _ClassVar[int]
    status: _crystal_pb2.StructureStatus
    message: str
    converged: bool
    steps: int
    max_force: float
    energy_per_atom: float
    e_above_hull: float
    rmsd: float
    volume_ratio: float
    crystal: _crystal_pb2.CrystalBatch
    message_parts: _containers.RepeatedCompositeFieldContainer[MessagePart]
    def __init__(self, status: _Optional[_Union[_crystal_pb2.StructureStatus, str]] = ..., message: _Optional[str] = ..., converged: bool = ..., steps: _Optional[int] = ..., max_force: _Optional[float] = ..., energy_per_atom: _Optional[float] = ..., e_above_hull: _Optional[float] = ..., rmsd: _Optional[float] = ..., volume_ratio: _Optional[float] = ..., crystal: _Optional[_Union[_crystal_pb2.CrystalBatch, _Mapping]] = ..., message_parts: _Optional[_Iterable[_Union[MessagePart, _Mapping]]] = ...) -> None: ...

class Forces(_message.Message):
    __slots__ = ("forces", "stress")
    FORCES_FIELD_NUMBER: _ClassVar[int]
    STRESS_FIELD_NUMBER: _ClassVar[int]
    forces: _crystal_pb2.Tensor
    stress: _crystal_pb2.Tensor
    def __init__(self, forces: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ..., stress: _Optional[_Union[_crystal_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Audit(_message.Message):
    __slots__ = ("calculator_id", "status", "message", "energy_per_atom", "e_above_hull", "formation_energy_per_atom", "hull_id", "message_parts")
    CALCULATOR_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    E_ABOVE_HULL_FIELD_NUMBER: _ClassVar[int]
    FORMATION_ENERGY_PER_ATOM_FIELD_NUMBER: _ClassVar[int]
    HULL_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PARTS_FIELD_NUMBER: _ClassVar[int]
    calculator_id: str
    status: _crystal_pb2.StructureStatus
    message: str
    energy_per_atom: float
    e_above_hull: float
    formation_energy_per_atom: float
    hull_id: str
    message_parts: _containers.RepeatedCompositeFieldContainer[MessagePart]
    def __init__(self, calculator_id: _Optional[str] = ..., status: _Optional[_Union[_crystal_pb2.StructureStatus, str]] = ..., message: _Optional[str] = ..., energy_per_atom: _Optional[float] = ..., e_above_hull: _Optional[float] = ..., formation_energy_per_atom: _Optional[float] = ..., hull_id: _Optional[str] = ..., message_parts: _Optional[_Iterable[_Union[MessagePart, _Mapping]]] = ...) -> None: ...

class ScoreProvenance(_message.Message):
    __slots__ = ("calculator_id", "calculator_version", "reference_id", "hull_id", "settings_digest", "service_version", "sameness", "diversity_features", "property_digests", "calculator_settings", "calculator_scheme")
    class PropertyDigestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CALCULATOR_ID_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_ID_FIELD_NUMBER: _ClassVar[int]
    HULL_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMENESS_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FEATURES_FIELD_NUMBER: _ClassVar[int]
    PROPERTY_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_SCHEME_FIELD_NUMBER: _ClassVar[int]
    calculator_id: str
    calculator_version: str
    reference_id: str
    hull_id: str
    settings_digest: str
    service_version: str
    sameness: SamenessOptions
    diversity_features: str
    property_digests: _containers.ScalarMap[str, str]
    calculator_settings: _struct_pb2.Struct
    calculator_scheme: str
    def __init__(self, calculator_id: _Optional[str] = ..., calculator_version: _Optional[str] = ..., reference_id: _Optional[str] = ..., hull_id: _Optional[str] = ..., settings_digest: _Optional[str] = ..., service_version: _Optional[str] = ..., sameness: _Optional[_Union[SamenessOptions, _Mapping]] = ..., diversity_features: _Optional[str] = ..., property_digests: _Optional[_Mapping[str, str]] = ..., calculator_settings: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., calculator_scheme: _Optional[str] = ...) -> None: ...

class ScoreStats(_message.Message):
    __slots__ = ("cache_hits", "cache_misses", "calculator_calls", "seconds")
    class SecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CACHE_HITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_MISSES_FIELD_NUMBER: _ClassVar[int]
    CALCULATOR_CALLS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    cache_hits: int
    cache_misses: int
    calculator_calls: int
    seconds: _containers.ScalarMap[str, float]
    def __init__(self, cache_hits: _Optional[int] = ..., cache_misses: _Optional[int] = ..., calculator_calls: _Optional[int] = ..., seconds: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ScoreStreamRequest(_message.Message):
    __slots__ = ("batch_id", "request")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    batch_id: int
    request: ScoreRequest
    def __init__(self, batch_id: _Optional[int] = ..., request: _Optional[_Union[ScoreRequest, _Mapping]] = ...) -> None: ...

class ScoreStreamResponse(_message.Message):
    __slots__ = ("batch_id", "response", "error")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    batch_id: int
    response: ScoreResponse
    error: OperationError
    def __init__(self, batch_id: _Optional[int] = ..., response: _Optional[_Union[ScoreResponse, _Mapping]] = ..., error: _Optional[_Union[OperationError, _Mapping]] = ...) -> None: ...

class OperationError(_message.Message):
    __slots__ = ("code", "message", "field_violations")
    class FieldViolationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field_violations: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field_violations: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "state", "structures_done", "structures_total", "create_time", "start_time", "end_time", "expire_time", "response", "error", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STRUCTURES_DONE_FIELD_NUMBER: _ClassVar[int]
    STRUCTURES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: OperationState
    structures_done: int
    structures_total: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    response: ScoreResponse
    error: OperationError
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[OperationState, str]] = ..., structures_done: _Optional[int] = ..., structures_total: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., response: _Optional[_Union[ScoreResponse, _Mapping]] = ..., error: _Optional[_Union[OperationError, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitScoreRequest(_message.Message):
    __slots__ = ("request", "idempotency_key", "priority", "retention")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    request: ScoreRequest
    idempotency_key: str
    priority: int
    retention: _duration_pb2.Duration
    def __init__(self, request: _Optional[_Union[ScoreRequest, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., priority: _Optional[int] = ..., retention: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SubmitScoreResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("operation_id", "include_partial_results")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PARTIAL_RESULTS_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    include_partial_results: bool
    def __init__(self, operation_id: _Optional[str] = ..., include_partial_results: bool = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class WaitOperationRequest(_message.Message):
    __slots__ = ("operation_id", "timeout")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    timeout: _duration_pb2.Duration
    def __init__(self, operation_id: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class CancelOperationRequest(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class CancelOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("states", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[OperationState]
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[OperationState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
