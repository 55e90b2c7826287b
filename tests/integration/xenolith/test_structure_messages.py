"""Whoever splits a batch gets messages that name his structures, the neighbours in them included."""

from collections.abc import Iterator

import numpy as np
import pytest

from examples.example_oracle.oracle import ExampleOracle
from xenolith.analysis import score_in_pieces
from xenolith.client import Client
from xenolith.contract.structure_messages import StructureMessage
from xenolith.convert import Item
from xenolith.crystal import Crystal
from xenolith.errors import ReadError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2

UNREADABLE = Item(source="torn.cif", problem=ReadError("torn.cif: holds no crystal"))
COPPER = Crystal(lattice=np.array([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]), numbers=[29],
                 frac_coords=[[0, 0, 0]])  # fmt: skip


class Comparing(ExampleOracle):
    """The example oracle, which could not compare any structure with the one after it.

    Parameters
    ----------
    in_parts
        Whether it tells numbers and words apart.
    """

    def __init__(self, *, in_parts: bool) -> None:
        super().__init__()
        self.in_parts = in_parts

    def score(self, request: oracle_pb2.ScoreRequest, stop: object) -> oracle_pb2.ScoreResponse:
        response = super().score(request, stop)  # type: ignore[arg-type]
        for index, score in enumerate(response.scores):
            other = (index + 1) % len(response.scores)
            message = StructureMessage.about(index, StructureMessage("no verdict against ", other))
            score.status = crystal_pb2.STRUCTURE_STATUS_TIMEOUT
            audit, result = score.audits.add(calculator_id="emt"), score.components[0]
            for place in (score, score.relaxation, audit, result):
                message.fill(place)
                if not self.in_parts:
                    del place.message_parts[:]
        return response


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    oracle = Comparing(in_parts=request.param)
    with (
        threaded_server([oracle], ServingSettings(grace_s=0.5)) as running,
        Client.connect(oracle=running.address) as connected,
    ):
        yield connected


@pytest.mark.parametrize("client", [True], indirect=True)
def test_pieces_name_both_structures_as_their_caller_counts(client: Client) -> None:
    members = [COPPER, UNREADABLE, COPPER, COPPER, COPPER, COPPER]
    scores = score_in_pieces(client, members, components=["validity"], piece=3)
    pairs = {0: 2, 2: 0, 3: 4, 4: 5, 5: 3}
    for index, other in pairs.items():
        message = f"structure {index}: no verdict against structure {other}"
        relaxation = scores[index].relaxation
        assert relaxation is not None
        told = [scores[index].message, relaxation.message, scores[index].audits[0].message]
        assert told == [message] * 3
    assert "torn.cif" in scores[1].message


@pytest.mark.parametrize("client", [False], indirect=True)
def test_an_oracle_without_parts_has_the_structures_own_number_right(client: Client) -> None:
    scores = client.oracle.score([UNREADABLE, COPPER, COPPER], components=["validity"])
    assert [score.message.partition(":")[0] for score in scores[1:]] == ["structure 1", "structure 2"]
