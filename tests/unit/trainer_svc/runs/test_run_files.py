"""What a run keeps on disk survives kills: checkpoints, events, candidates."""

import numpy as np
import pytest
import torch
from ase.io import read

from trainer_svc.errors import CheckpointError
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.runs.candidates import Candidates
from trainer_svc.runs.checkpoints import Checkpoints, LearnerWeights, TrainingState
from trainer_svc.runs.events import EventLog, last_steps
from trainer_svc.runs.tables import crystals_of, read_table
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.files import read_json, write_bytes, write_json
from xenolith.v1 import trainer_pb2 as pb

SALT = Crystal(
    lattice=np.array([[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]]),
    numbers=np.array([11, 17]),
    frac_coords=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
)


def network(seed=0):
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    return layers, torch.optim.AdamW(layers.parameters(), lr=0.1)


def train(layers, optimizer, seed):
    torch.manual_seed(seed)
    optimizer.zero_grad()
    layers(torch.randn(8, 3)).square().mean().backward()
    optimizer.step()


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    for step in range(1, 4):
        train(layers, optimizer, step)
        checkpoints.save(
            LearnerWeights(trained=layers, optimizer=optimizer),
            TrainingState(step=step, policy_version=f"r/{step}"),
        )
    other, other_optimizer = network(seed=9)
    state = checkpoints.load(LearnerWeights(trained=other, optimizer=other_optimizer))
    assert (state.step, state.policy_version) == (3, "r/3")
    for step in range(4, 7):
        train(layers, optimizer, step)
        train(other, other_optimizer, step)
    assert all(torch.equal(a, b) for a, b in zip(layers.parameters(), other.parameters(), strict=True))


def test_old_checkpoints_go_and_the_base_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    for step in range(6):
        checkpoints.save(
            LearnerWeights(trained=layers, optimizer=optimizer),
            TrainingState(step=step, policy_version=str(step)),
        )
    assert checkpoints.steps() == [0, 4, 5]


def test_a_checkpoint_that_a_kill_left_unfinished_is_not_seen(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    checkpoints.save(
        LearnerWeights(trained=layers, optimizer=optimizer), TrainingState(step=1, policy_version="1")
    )
    (tmp_path / ".step-000002.tmp").mkdir()
    (tmp_path / ".step-000002.tmp" / "weights.safetensors").write_bytes(b"half")
    assert checkpoints.steps() == [1]
    checkpoints.save(
        LearnerWeights(trained=layers, optimizer=optimizer), TrainingState(step=2, policy_version="2")
    )
    assert checkpoints.steps() == [1, 2]


def test_damaged_and_absent_checkpoints_are_named(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoints.load(LearnerWeights(trained=layers, optimizer=optimizer))
    path = checkpoints.save(
        LearnerWeights(trained=layers, optimizer=optimizer), TrainingState(step=1, policy_version="1")
    )
    (path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="step-000001"):
        checkpoints.load(LearnerWeights(trained=layers, optimizer=optimizer))
    with pytest.raises(CheckpointError, match="there are: 1"):
        checkpoints.weights(7)


def test_a_checkpoint_from_before_there_were_digests_still_loads(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    path = checkpoints.save(
        LearnerWeights(trained=layers, optimizer=optimizer),
        TrainingState(step=1, policy_version="1", stop_reason="enough"),
    )
    document = read_json(path / "state.json")
    assert set(document.pop("files")) == {"weights.safetensors", "optimizer.safetensors"}
    assert document.pop("digest")
    write_json(path / "state.json", document)
    assert checkpoints.load(LearnerWeights(trained=layers, optimizer=optimizer)).stop_reason == "enough"
    checkpoints.clear_stop_reason()
    assert checkpoints.load(LearnerWeights(trained=layers, optimizer=optimizer)).stop_reason == ""


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"step": 1', '"step": 0'),
        ('"digest"', '"eigest"'),
        ('"files"', '"fines"'),
        ('"policy_version": "1"', '"policy_version": "3"'),
    ],
)
def test_a_changed_state_is_noticed_and_so_is_a_changed_seal(tmp_path, was, becomes):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    both = LearnerWeights(trained=layers, optimizer=optimizer)
    for step in (0, 1):
        path = checkpoints.save(both, TrainingState(step=step, policy_version=str(step)))
    text = (path / "state.json").read_text()
    assert was in text
    (path / "state.json").write_text(text.replace(was, becomes))
    with pytest.raises(CheckpointError, match=r"step-000001/state\.json.*the one of step 0 is whole"):
        checkpoints.load(both)
    checkpoints.go_back(0)
    assert checkpoints.steps() == [0]


def test_the_best_policy_of_a_checkpoint_that_is_kept_is_kept_too(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    layers, optimizer = network()
    found = [(1, 0.3), (5, 0.4)]
    for step in range(6):
        checkpoints.save(
            LearnerWeights(trained=layers, optimizer=optimizer),
            TrainingState(
                step=step,
                policy_version=str(step),
                evaluations=[(at, msun) for at, msun in found if at <= step],
            ),
        )
    # The run can go back to step 4, whose best policy was that of step 1.
    assert checkpoints.steps() == [0, 1, 4, 5]


def test_events_are_numbered_across_resumptions_and_torn_lines_are_cut(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    for step in (1, 2):
        log.append(pb.WatchRunResponse(step=pb.StepEvent(step=step, reward_mean=step)))
    with path.open("a") as stream:
        stream.write('{"sequence": "3", "st')
    again = EventLog(path)
    again.append(pb.WatchRunResponse(step=pb.StepEvent(step=2, reward_mean=5.0, replayed=True)))
    events = EventLog(path).after(0)
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [(step.step, step.reward_mean) for step in last_steps(events)] == [(1, 1.0), (2, 5.0)]
    assert EventLog(path).after(2) == events[2:]


def test_a_number_that_two_trainers_wrote_is_given_once(tmp_path):
    path = tmp_path / "events.jsonl"
    first, second = EventLog(path), EventLog(path)
    first.append(pb.WatchRunResponse(warning="of the trainer that is killed"))
    second.append(pb.WatchRunResponse(warning="of its successor"))
    log = EventLog(path)
    log.append(pb.WatchRunResponse(warning="later"))
    assert [event.sequence for event in log.after(0)] == [1, 2, 3]
    assert [event.warning for event in log.after(2)] == ["later"]
    assert log.after(3) == []


def test_events_keep_numbers_that_json_does_not_know(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(
        pb.WatchRunResponse(step=pb.StepEvent(step=1, terms=[{"name": "t", "raw_mean": float("nan")}]))
    )
    assert np.isnan(EventLog(tmp_path / "events.jsonl").after(0)[0].step.terms[0].raw_mean)


def test_listeners_hear_until_they_leave(tmp_path):
    log, heard = EventLog(tmp_path / "events.jsonl"), []
    leave = log.subscribe(heard.append)
    log.append(pb.WatchRunResponse(warning="one"))
    leave()
    log.append(pb.WatchRunResponse(warning="two"))
    assert [event.warning for event in heard] == ["one"]


def measured(energies):
    ones = np.ones(len(energies))
    values = {"valid": ones, "unique": ones, "novel": ones, "e_above_hull": np.array(energies)}
    return Measurements(status=("OK",) * len(energies), values=values)


def add(candidates, step, energies):
    return candidates.add(step, CrystalBatch.from_crystals([SALT] * len(energies)), measured(energies))


def test_candidates_are_chosen_and_read_back(tmp_path):
    candidates = Candidates(tmp_path)
    assert add(candidates, 1, [0.05, 0.5, -0.01]) == 2
    candidates.publish()
    table = read_table(tmp_path / "candidates.parquet")
    assert table.column("id").to_pylist() == ["000001-0000", "000001-0002"]
    assert crystals_of(table)[0] == SALT
    frame = read(tmp_path / "candidates.extxyz", 0)
    assert frame.get_chemical_formula() == "ClNa"
    assert frame.info["e_above_hull"] == 0.05
    np.testing.assert_allclose(frame.get_scaled_positions(), SALT.frac_coords, atol=1e-9)


def test_candidates_of_repeated_steps_appear_once(tmp_path):
    candidates = Candidates(tmp_path)
    add(candidates, 1, [0.05])
    kept = candidates.publish()
    add(candidates, 2, [0.01, 0.02])
    candidates.publish()  # the checkpoint of step 2 was never finished
    again = Candidates(tmp_path)
    again.rewind(1, kept)
    add(again, 2, [0.01, 0.02])
    again.publish()
    assert len(read(tmp_path / "candidates.extxyz", ":")) == 3
    assert read_table(tmp_path / "candidates.parquet").column("step").to_pylist() == [1, 2, 2]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    write_bytes(path, b"{}")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
