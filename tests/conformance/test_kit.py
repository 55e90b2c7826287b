"""Oracles that break the contract, each in its own way, and what the kit says of them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from examples.example_oracle import oracle as example
from xenolith.cli import main
from xenolith.conformance import CHECKS, Lab, LabSettings, Report, run_checks, select
from xenolith.errors import FieldViolation, InvalidArgumentError, XenolithError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2

Response = oracle_pb2.ScoreResponse
Request = oracle_pb2.ScoreRequest
OK = crystal_pb2.STRUCTURE_STATUS_OK


def examined(oracle: object, *only: str, **settings: Any) -> Report:
    with (
        threaded_server([oracle], ServingSettings(grace_s=0.1)) as running,
        Lab(LabSettings(target=running.address, **settings)) as lab,
    ):
        return run_checks(lab, select(CHECKS, only))


class Altered(example.ExampleOracle):
    """The example with its answers changed."""

    def __init__(self, change: Callable[[Request, Response], None]) -> None:
        super().__init__()
        self.change = change
        self.calls = 0

    def score(self, request: Request, stop: Any) -> Response:
        response = super().score(request, stop)
        self.calls += 1
        self.change(request, response)
        return response


def drops_the_bad(_request: Request, response: Response) -> None:
    good = [score for score in response.scores if score.valid]
    del response.scores[:]
    response.scores.extend(good)


def fails_with_the_bad(_request: Request, response: Response) -> None:
    if not all(score.valid for score in response.scores):
        raise ValueError("array must not contain infs or NaNs")


def says_zero(_request: Request, response: Response) -> None:
    for score in response.scores:
        if not score.valid:
            score.energy_per_atom = 0.0


def shares_energies(_request: Request, response: Response) -> None:
    energies = [score.energy_per_atom for score in response.scores if score.HasField("energy_per_atom")]
    for score in response.scores:
        if score.HasField("energy_per_atom"):
            score.energy_per_atom = sum(energies) / len(energies)


def counts_positions(_request: Request, response: Response) -> None:
    for index, score in enumerate(response.scores):
        score.energy_per_atom += 0.01 * index


def forgets_atoms(request: Request, response: Response) -> None:
    for score, atoms in zip(response.scores, request.crystals.num_atoms, strict=True):
        score.energy_per_atom *= atoms


def has_no_digest(_request: Request, response: Response) -> None:
    response.provenance.settings_digest = ""


def hides_messages(_request: Request, response: Response) -> None:
    for score in response.scores:
        score.message = ""


def reverses(_request: Request, response: Response) -> None:
    scores = list(response.scores)[::-1]
    del response.scores[:]
    response.scores.extend(scores)


def always_fine(_request: Request, response: Response) -> None:
    for score in response.scores:
        score.status, score.valid, score.message = OK, True, ""


def measures_too_much(_request: Request, response: Response) -> None:
    for score in response.scores:
        score.novel = False


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        (drops_the_bad, "malformed.nan-in-cell", "Score answered 2 scores for 3 structures"),
        (fails_with_the_bad, "malformed.nan-in-cell", "should be answered, but ended as INTERNAL"),
        (says_zero, "malformed.element-0", "has energy_per_atom, which nobody can have measured"),
        (hides_messages, "malformed.no-atoms", "message is empty: what is wrong with it?"),
        (always_fine, "malformed.coincident-atoms", "the broken structure is OK ('')"),
        (shares_energies, "repeatable.alone", "in a batch and alone: energy_per_atom"),
        (counts_positions, "repeatable.order", "in another order: energy_per_atom"),
        (forgets_atoms, "repeatable.description", "in two descriptions: energy_per_atom"),
        (has_no_digest, "provenance.complete", "settings_digest is ''"),
        (reverses, "scores.order", "score 0 has formula"),
        (
            measures_too_much,
            "scores.absent-is-not-zero",
            "validity alone was asked for, but novel are present",
        ),
    ],
)
def test_a_broken_oracle_is_told_what_it_breaks(change: Any, check: str, reason: str) -> None:
    (result,) = examined(Altered(change), check).results
    assert result.outcome == "failed"
    assert reason in result.reason
    assert result.request.startswith("ScoreRequest; structures: ")


def test_an_oracle_that_changes_its_mind_is_not_repeatable() -> None:
    oracle = Altered(lambda _request, _response: None)

    def drift(_request: Request, response: Response) -> None:
        for score in response.scores:
            score.energy_per_atom += 1e-3 * oracle.calls
        response.provenance.settings_digest = f"{oracle.calls:064x}"

    oracle.change = drift
    report = examined(oracle, "repeatable.again", "provenance.stable")
    assert [result.outcome for result in report.results] == ["failed", "failed"]
    assert "asked twice: energy_per_atom" in report.results[0].reason
    assert "for another crystal" in report.results[1].reason


class Careless(example.ExampleOracle):
    """Looks at nothing in a request but its crystals."""

    def score(self, request: Request, stop: Any) -> Response:
        return super().score(Request(crystals=request.crystals, components=[1, 2]), stop)


def test_a_careless_oracle_takes_what_it_should_refuse() -> None:
    report = examined(Careless(), "requests")
    refused = {result.check.name.partition(".")[2] for result in report.results if result.outcome == "failed"}
    assert refused == {
        "unknown-component", "unserved-component", "unknown-calculator", "settings-values", "unknown-metric",
        "unknown-calculator-setting", "unknown-names", "relaxation-without-stability", "unserved-relaxation",
        "expected-digest",
    }  # fmt: skip
    reasons = {result.reason for result in report.results if result.outcome == "failed"}
    assert reasons == {"the call should be refused, but was answered as if nothing were wrong"}


class Misleading(example.ExampleOracle):
    """Refuses what it should, and names another field than the one at fault."""

    def __init__(self, wrong: Callable[[str], str]) -> None:
        super().__init__()
        self.wrong = wrong

    def score(self, request: Request, stop: Any) -> Response:
        try:
            return super().score(request, stop)
        except XenolithError as error:
            error.violations = tuple(
                FieldViolation(field=self.wrong(violation.field), description=violation.description)
                for violation in error.violations
            )
            raise


DEMANDED = {
    "requests.columns-numbers": ["crystals.numbers"],
    "requests.columns-lattices": ["crystals.lattices"],
    "requests.columns-coordinates": ["crystals.frac_coords"],
    "requests.columns-atom-counts": ["crystals.num_atoms"],
    "requests.columns-atoms-declared": ["crystals.numbers"],
    "requests.unknown-component": ["components[1]"],
    "requests.unserved-component": ["components[1]"],
    "requests.unknown-calculator": ["settings.calculator_id", "settings.reference_id"],
    "requests.settings-values": [
        "settings.structure_timeout_s", "settings.sameness.amd_tolerance",
        "settings.sameness.length_tolerance", "settings.sameness.site_tolerance",
        "settings.sameness.angle_tolerance", "settings.relax.max_steps", "settings.relax.fmax",
        "settings.relax.pressure_gpa",
    ],
    "requests.unknown-metric": ["settings.sameness.metric"],
    "requests.unknown-calculator-setting": ["settings.calculator_settings.no_such_setting"],
    "requests.unknown-names": ["settings.properties[0]", "settings.audit_calculator_ids[0]"],
    "requests.relaxation-without-stability": ["settings.relax"],
    "requests.unserved-relaxation": ["settings.relax"],
    "requests.disorder": ["crystals.occupancies"],
    "requests.expected-digest": ["expected_settings_digest"],
    "limits.max-batch": ["crystals.num_atoms"],
    "stream.bad-batch": ["crystals.numbers"],
}  # fmt: skip
"""Paths of the fields at fault that a check demands, in its order."""


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda field: field.rpartition(".")[2] or field, id="the last name of a path"),
        pytest.param(lambda field: field.replace(".sameness.", "."), id="a floor left out"),
        pytest.param(lambda field: field.partition(".")[0], id="the first name of a path"),
        pytest.param(lambda field: field.partition("[")[0], id="no place in a list"),
        pytest.param(lambda field: f"request.{field}", id="a floor too many"),
    ],
)
def test_a_wrong_path_of_a_field_is_told(wrong: Callable[[str], str]) -> None:
    results = examined(Misleading(wrong), *DEMANDED).results
    assert {result.check.name for result in results} == set(DEMANDED)
    for result in results:
        changed = [wrong(path) for path in DEMANDED[result.check.name] if wrong(path) != path]
        assert result.outcome == ("failed" if changed else "passed"), (result.check.name, result.reason)
        assert not changed or changed[0] in result.reason


class Brittle(example.ExampleOracle):
    """Lets a bad batch end the stream, and does not say what to use instead of operations."""

    async def ScoreStream(self, requests: Any, context: Any) -> Any:
        async for item in requests:
            response = await self.Score(item.request, context)
            yield oracle_pb2.ScoreStreamResponse(batch_id=item.batch_id, response=response)

    async def SubmitScore(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    GetOperation = WaitOperation = CancelOperation = SubmitScore


def test_a_brittle_stream_and_unhelpful_operations_are_found() -> None:
    stream, operations = examined(Brittle(), "stream.bad-batch", "operations.not-served").results
    assert "the stream ended as INVALID_ARGUMENT" in stream.reason
    assert "does not say what to use instead" in operations.reason


class Hanging(example.ExampleOracle):
    """Never answers a request with a broken structure."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def score(self, request: Request, stop: Any) -> Response:
        response = super().score(request, stop)
        if not all(score.valid for score in response.scores):
            stop.wait(60)
        return response


def test_an_oracle_that_hangs_is_left_in_time() -> None:
    (result,) = examined(Hanging(), "malformed.zero-cell", timeout_s=3.0).results
    assert result.outcome == "failed"
    assert "ended as DEADLINE_EXCEEDED" in result.reason


DYING = """
import asyncio, os, numpy as np
from examples.example_oracle.oracle import ExampleOracle
from xenolith import serving

class Dying(ExampleOracle):
    def score(self, request, stop):
        if not np.isfinite(request.crystals.lattices).all():
            os._exit(11)
        return super().score(request, stop)

class Tell:
    async def __call__(self, running):
        print(running.address, flush=True)

settings = serving.ServingSettings(log_level="error")
asyncio.run(serving.serve([Dying()], settings, name="oracle", on_start=Tell()))
"""


def test_an_oracle_that_dies_is_said_to_be_dead() -> None:
    command = [sys.executable, "-c", DYING]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with Lab(LabSettings(target=address, timeout_s=20.0)) as lab:
            only = ["malformed.element-0", "malformed.nan-in-cell", "scores.order"]
            report = run_checks(lab, sorted(select(CHECKS, only), key=lambda check: only.index(check.name)))
        assert process.wait(timeout=30) == 11
    assert [result.outcome for result in report.results] == ["passed", "failed", "failed"]
    assert "ended as UNAVAILABLE" in report.results[1].reason
    assert report.results[2].reason == "not tried: the service stopped answering during malformed.nan-in-cell"


def test_the_command_line_tells_and_writes_what_it_found(tmp_path: Any, capsys: Any) -> None:
    with threaded_server([Altered(hides_messages)], ServingSettings(grace_s=0.1)) as running:
        arguments = ["conformance", "--target", running.address, "--only", "describe"]
        assert main(arguments) == 0
        assert "conforms: 8 passed, 0 failed, 0 skipped" in capsys.readouterr().out
        arguments += ["--only", "malformed.nan-*", "--json", str(tmp_path / "report.json")]
        assert main(arguments) == 1
    told = capsys.readouterr().out
    assert "rule     NaN in a cell is NONFINITE." in told
    assert "broken   the broken structure's message is empty" in told
    written = json.loads((tmp_path / "report.json").read_text())
    assert (written["conforms"], written["passed"], written["failed"]) == (False, 8, 2)
    assert written["results"][-1]["name"] == "malformed.nan-in-coordinates"


def test_the_rules_can_be_listed_and_chosen(capsys: Any) -> None:
    assert main(["conformance", "--list", "--only", "stream"]) == 0
    assert "stream.every-batch-once" in capsys.readouterr().out
    assert main(["conformance", "--target", "localhost:1", "--only", "nothing"]) == 1
    assert "no check is called 'nothing'; themes are calls, describe" in capsys.readouterr().err
    with pytest.raises(InvalidArgumentError, match="themes are"):
        select(CHECKS, ["nothing"])


def test_checks_have_names_of_their_own_and_rules_of_one_sentence() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert check.rule.endswith(".")
        assert len(check.rule) < 130


def test_a_slow_oracle_is_asked_little() -> None:
    oracle = Altered(lambda _request, _response: None)
    asked: list[int] = []
    oracle.change = lambda request, _response: asked.append(
        len(request.crystals.num_atoms) if 2 in request.components else 0
    )
    report = examined(oracle, quick=True)
    assert report.conforms, [result.reason for result in report.results if result.outcome == "failed"]
    assert sum(asked) < 100, "structures whose energy was asked for, broken ones included"
