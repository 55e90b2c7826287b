"""Columns of scores: declared in the contract, and followed by everybody."""

import dataclasses

from oracle_svc.pipeline import results
from xenolith.client import Score
from xenolith.contract.columns import COLUMNS, NUMBERS, SCALARS, component_of_column, fields_of
from xenolith.contract.components import COMPARING_COMPONENTS
from xenolith.v1 import oracle_pb2

NO_MEASUREMENTS = {"status", "message", "components", "formula", "message_parts"}
"""What a score says of itself."""


def fields(kind):
    return {field.name for field in dataclasses.fields(kind)}


def test_every_measurement_says_which_component_fills_it():
    declared = {field.name for field in oracle_pb2.StructureScore.DESCRIPTOR.fields}
    assert declared - set(COLUMNS) <= NO_MEASUREMENTS
    assert all(column.component in oracle_pb2.Component.values()[1:] for column in COLUMNS.values())
    assert {column.component for column in COLUMNS.values()} == set(oracle_pb2.Component.values()[1:])


def test_units_are_those_of_the_contract():
    assert COLUMNS["e_above_hull"].unit == "eV/atom"
    assert COLUMNS["min_distance"].unit == "Angstrom"
    assert COLUMNS["novel"].unit == ""


def test_the_pipeline_and_the_client_have_a_field_for_every_column():
    assert set(SCALARS) <= fields(results.Score)
    assert set(COLUMNS) - {"forces"} <= fields(Score) - {"forces"}


def test_numbers_are_quantities_and_truths():
    assert set(SCALARS) - set(NUMBERS) == {"nearest_reference", "duplicate_of"}
    assert not {"forces", "properties", "amd"} & set(SCALARS)


def test_a_column_of_a_table_leads_to_its_component():
    assert component_of_column("continuous_novelty") == oracle_pb2.COMPONENT_CONTINUOUS
    assert component_of_column("properties.band_gap") == oracle_pb2.COMPONENT_PROPERTIES
    assert component_of_column("relaxation.e_above_hull") == oracle_pb2.COMPONENT_STABILITY
    assert component_of_column("creativity") is None
    assert fields_of(oracle_pb2.COMPONENT_UNIQUENESS) == ("unique", "duplicate_of", "batch_amd_distance")


def test_what_compares_structures_is_known_by_its_columns():
    assert {
        oracle_pb2.COMPONENT_UNIQUENESS, oracle_pb2.COMPONENT_STRUCTURE_DIVERSITY,
        oracle_pb2.COMPONENT_COMPOSITION_DIVERSITY, oracle_pb2.COMPONENT_CONTINUOUS,
    } == COMPARING_COMPONENTS  # fmt: skip
