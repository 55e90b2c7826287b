"""Names of the contract's enums, without their prefix."""

import pytest

from xenolith.contract.names import component_name, component_number, status_name, value_name, value_number
from xenolith.contract.states import operation_state_name, run_state_name, run_state_number
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import crystal_pb2, oracle_pb2, trainer_pb2


def test_names_lack_the_prefix_of_their_enum() -> None:
    assert status_name(crystal_pb2.STRUCTURE_STATUS_TOO_CLOSE) == "TOO_CLOSE"
    assert component_name(oracle_pb2.COMPONENT_NOVELTY) == "novelty"
    assert operation_state_name(oracle_pb2.OPERATION_STATE_RUNNING) == "RUNNING"
    assert run_state_name(trainer_pb2.RUN_STATE_EVALUATING_BASE) == "EVALUATING_BASE"


def test_a_value_of_a_later_contract_keeps_its_number() -> None:
    assert status_name(4711) == "STATUS_4711"
    assert component_name(4711) == "component_4711"
    assert operation_state_name(4711) == run_state_name(4711) == "STATE_4711"


@pytest.mark.parametrize(
    "enum",
    [crystal_pb2.StructureStatus, oracle_pb2.Component, oracle_pb2.RelaxAlgorithm, trainer_pb2.RunState],
    ids=lambda enum: enum.DESCRIPTOR.name,
)
def test_a_name_leads_back_to_its_number_in_any_case(enum) -> None:
    for number in enum.values():
        assert value_number(enum, value_name(enum, number).lower()) == number


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgumentError, match="no component 'beauty'; there are validity, stability"):
        component_number("beauty")
    with pytest.raises(InvalidArgumentError, match="no state 'asleep'; there are QUEUED, "):
        run_state_number("asleep")
