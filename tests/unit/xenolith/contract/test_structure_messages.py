"""Messages keep the numbers of the structures they name apart from their words."""

import json
from copy import deepcopy

from xenolith.contract.structure_messages import StructureMessage
from xenolith.v1 import oracle_pb2

PAIR = StructureMessage.about(3, StructureMessage("no verdict against ", 5, " {0}; structure 3 stays text"))


def test_a_message_is_the_text_that_it_reads() -> None:
    assert PAIR == "structure 3: no verdict against structure 5 {0}; structure 3 stays text"
    assert json.dumps(PAIR) == json.dumps(str(PAIR))
    assert deepcopy(PAIR).parts == PAIR.parts
    assert StructureMessage.about(3, "") == "" and not StructureMessage.about(3, "").parts


def test_every_structure_that_is_named_is_renumbered_and_words_are_left_alone() -> None:
    swapped = PAIR.renumbered({3: 5, 5: 3})
    assert swapped == "structure 5: no verdict against structure 3 {0}; structure 3 stays text"
    assert swapped.renumbered({3: 5, 5: 3}).parts == PAIR.parts
    assert PAIR.renumbered({}) == PAIR
    assert StructureMessage.of("structure 3 is text").renumbered({3: 4}) == "structure 3 is text"


def test_names_take_the_place_of_numbers_where_there_are_some() -> None:
    named = PAIR.with_names({3: "a.cif"})
    assert named == "a.cif: no verdict against structure 5 {0}; structure 3 stays text"


def test_a_message_travels_whole() -> None:
    message = oracle_pb2.ComponentResult()
    PAIR.fill(message)
    assert message.message == PAIR
    read = StructureMessage.from_proto(oracle_pb2.ComponentResult.FromString(message.SerializeToString()), 0)
    assert (read, read.renumbered({5: 6})) == (PAIR, PAIR.renumbered({5: 6}))


def test_of_an_oracle_without_parts_the_structures_own_number_is_known() -> None:
    plain = oracle_pb2.Relaxation(message="structure 17: not converged, as structure 16")
    assert StructureMessage.from_proto(plain, 17).renumbered({16: 1, 17: 2}) == (
        "structure 2: not converged, as structure 16"
    )
    assert StructureMessage.from_proto(plain, 1).renumbered({17: 2}) == plain.message


def test_what_was_said_about_a_structure_comes_back_without_it_and_with_the_others() -> None:
    words = StructureMessage("as ", 5, " has it")
    assert StructureMessage.about(3, words).apart_from(3).renumbered({5: 7}) == "as structure 7 has it"
    without_parts = oracle_pb2.StructureScore(message="structure 3: its cell is flat")
    assert StructureMessage.from_proto(without_parts, 3).apart_from(3) == "its cell is flat"
    assert StructureMessage.about(3, "its cell is flat").apart_from(4) == "structure 3: its cell is flat"
