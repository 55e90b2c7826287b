from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StructureStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRUCTURE_STATUS_UNSPECIFIED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_OK: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_MALFORMED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_NONFINITE: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_BAD_CELL: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_TOO_CLOSE: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_BAD_DENSITY: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_UNSUPPORTED_ELEMENT: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_TOO_LARGE: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_NO_REFERENCE: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_CALCULATOR_FAILED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_TIMEOUT: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_DISORDERED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_RELAXATION_FAILED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_SKIPPED: _ClassVar[StructureStatus]
    STRUCTURE_STATUS_CANCELLED: _ClassVar[StructureStatus]

class Dtype(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[Dtype]
    DTYPE_FLOAT32: _ClassVar[Dtype]
    DTYPE_FLOAT64: _ClassVar[Dtype]
    DTYPE_FLOAT16: _ClassVar[Dtype]
    DTYPE_BFLOAT16: _ClassVar[Dtype]
    DTYPE_INT32: _ClassVar[Dtype]
    DTYPE_INT64: _ClassVar[Dtype]
    DTYPE_UINT8: _ClassVar[Dtype]
    DTYPE_BOOL: _ClassVar[Dtype]
STRUCTURE_STATUS_UNSPECIFIED: StructureStatus
STRUCTURE_STATUS_OK: StructureStatus
STRUCTURE_STATUS_MALFORMED: StructureStatus
STRUCTURE_STATUS_NONFINITE: StructureStatus
STRUCTURE_STATUS_BAD_CELL: StructureStatus
STRUCTURE_STATUS_TOO_CLOSE: StructureStatus
STRUCTURE_STATUS_BAD_DENSITY: StructureStatus
STRUCTURE_STATUS_UNSUPPORTED_ELEMENT: StructureStatus
STRUCTURE_STATUS_TOO_LARGE: StructureStatus
STRUCTURE_STATUS_NO_REFERENCE: StructureStatus
STRUCTURE_STATUS_CALCULATOR_FAILED: StructureStatus
STRUCTURE_STATUS_TIMEOUT: StructureStatus
STRUCTURE_STATUS_DISORDERED: StructureStatus
STRUCTURE_STATUS_RELAXATION_FAILED: StructureStatus
STRUCTURE_STATUS_SKIPPED: StructureStatus
STRUCTURE_STATUS_CANCELLED: StructureStatus
DTYPE_UNSPECIFIED: Dtype
DTYPE_FLOAT32: Dtype
DTYPE_FLOAT64: Dtype
DTYPE_FLOAT16: Dtype
DTYPE_BFLOAT16: Dtype
DTYPE_INT32: Dtype
DTYPE_INT64: Dtype
DTYPE_UINT8: Dtype
DTYPE_BOOL: Dtype

class CrystalBatch(_message.Message):
    __slots__ = ("num_atoms", "lattices", "numbers", "frac_coords", "occupancies")
    NUM_ATOMS_FIELD_NUMBER: _ClassVar[int]
    LATTICES_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    FRAC_COORDS_FIELD_NUMBER: _ClassVar[int]
    OCCUPANCIES_FIELD_NUMBER: _ClassVar[int]
    num_atoms: _containers.RepeatedScalarFieldContainer[int]
    lattices: _containers.RepeatedScalarFieldContainer[float]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    frac_coords: _containers.RepeatedScalarFieldContainer[float]
    occupancies: SiteOccupancies
    def __init__(self, num_atoms: _Optional[_Iterable[int]] = ..., lattices: _Optional[_Iterable[float]] = ..., numbers: _Optional[_Iterable[int]] = ..., frac_coords: _Optional[_Iterable[float]] = ..., occupancies: _Optional[_Union[SiteOccupancies, _Mapping]] = ...) -> None: ...

class SiteOccupancies(_message.Message):
    __slots__ = ("species_per_site", "numbers", "fractions")
    SPECIES_PER_SITE_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    FRACTIONS_FIELD_NUMBER: _ClassVar[int]
    species_per_site: _containers.RepeatedScalarFieldContainer[int]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    fractions: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, species_per_site: _Optional[_Iterable[int]] = ..., numbers: _Optional[_Iterable[int]] = ..., fractions: _Optional[_Iterable[float]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[_Union[Dtype, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[Dtype, str]] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...
