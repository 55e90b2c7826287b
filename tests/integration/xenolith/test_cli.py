"""The command line against real servers of small services."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

from xenolith import Crystal, CrystalBatch
from xenolith.cli import main
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_to_proto
from xenolith.convert import read_extxyz, read_paths, write_cif
from xenolith.errors import AlreadyExistsError, NotFoundError
from xenolith.serving import threaded_server
from xenolith.v1 import (
    generator_pb2,
    generator_pb2_grpc,
    oracle_pb2,
    oracle_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
)

pytest.importorskip("pymatgen.core")
pytest.importorskip("rich")

SALT = Crystal(lattice=np.eye(3) * 4.0, numbers=[11, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])
BASE = trainer_pb2.Evaluation(n=8, msun=trainer_pb2.Estimate(value=0.25, low=0.1, high=0.4))
TUNED = trainer_pb2.Evaluation(n=8, msun=trainer_pb2.Estimate(value=0.75, low=0.6, high=0.9))


class Generator(generator_pb2_grpc.GeneratorServiceServicer):
    """Samples salt, forever the same."""

    async def Sample(self, request: Any, context: Any) -> Any:
        self.request = request
        for index in reversed(range(request.num_samples)):
            yield generator_pb2.SampleResponse(
                sample_indices=[index],
                sample_seeds=[2**63 + index],
                crystals=batch_to_proto(CrystalBatch.from_crystals([SALT])),
                latents=tensor_to_proto(np.zeros((2, 8), np.float32)),
                provenance=generator_pb2.GeneratorProvenance(policy_version="base:1"),
            )


class Oracle(oracle_pb2_grpc.OracleServiceServicer):
    async def Describe(self, request: Any, context: Any) -> Any:
        return oracle_pb2.OracleServiceDescribeResponse(max_batch=100)

    async def Score(self, request: Any, context: Any) -> Any:
        crystals = batch_from_proto(request.crystals)
        self.request = request
        scores = [
            oracle_pb2.StructureScore(status=1, formula=c.formula, e_above_hull=float("nan"))
            for c in crystals
        ]
        provenance = oracle_pb2.ScoreProvenance(calculator_id="counter-1")
        return oracle_pb2.ScoreResponse(scores=scores, provenance=provenance, warnings=["cache is away"])


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Keeps runs in memory; a run named ``fails`` fails, one named ``lost`` is interrupted once."""

    def __init__(self) -> None:
        self.runs: dict[str, trainer_pb2.Run] = {}
        self.resumed = False

    async def StartRun(self, request: Any, context: Any) -> Any:
        config = request.config
        if config.name in self.runs and self.runs[config.name].config != config:
            raise AlreadyExistsError(f"run {config.name} exists with another configuration")
        run = trainer_pb2.Run(name=config.name, config=config, steps_total=config.steps, state=1)
        self.runs.setdefault(config.name, run)
        return trainer_pb2.StartRunResponse(run=self.runs[config.name])

    async def ResumeRun(self, request: Any, context: Any) -> Any:
        self.resumed = True
        return trainer_pb2.ResumeRunResponse(run=self._run(request.name))

    async def PublishPolicy(self, request: Any, context: Any) -> Any:
        step = request.step if request.HasField("step") else self._run(request.run_name).steps_done
        return trainer_pb2.PublishPolicyResponse(policy_version=f"{request.run_name}/{step}:abc", step=step)

    async def StopRun(self, request: Any, context: Any) -> Any:
        return trainer_pb2.StopRunResponse(run=self._run(request.name))

    async def GetRun(self, request: Any, context: Any) -> Any:
        return trainer_pb2.GetRunResponse(run=self._run(request.name))

    async def WatchRun(self, request: Any, context: Any) -> Any:
        run = self._run(request.name)
        event = trainer_pb2.WatchRunResponse
        yield event(sequence=1, evaluation=trainer_pb2.EvaluationEvent(evaluation=BASE))
        if run.name == "lost" and not self.resumed:
            run.state = trainer_pb2.RUN_STATE_INTERRUPTED
            lost = trainer_pb2.RunStateChange(state=run.state, message="the trainer ended")
            yield event(sequence=2, state=lost)
            return
        step = trainer_pb2.StepEvent(
            step=1, reward_mean=0.5, warnings=["redis is away"], metrics={"msun": 0.5}
        )
        yield event(sequence=2, step=step)
        failed = run.name == "fails"
        run.state = trainer_pb2.RUN_STATE_FAILED if failed else trainer_pb2.RUN_STATE_SUCCEEDED
        run.message = "the oracle speaks of another hull" if failed else ""
        run.base.CopyFrom(BASE)
        run.tuned.CopyFrom(TUNED)
        run.steps_done = run.steps_total
        run.artifacts[:] = ["report.html", "summary.json"]
        yield event(sequence=3, state=trainer_pb2.RunStateChange(state=run.state, message=run.message))

    async def Evaluate(self, request: Any, context: Any) -> Any:
        yield trainer_pb2.EvaluateResponse(progress=trainer_pb2.Progress(stage="score", done=3, total=8))
        yield trainer_pb2.EvaluateResponse(evaluation=TUNED)

    async def GetArtifact(self, request: Any, context: Any) -> Any:
        yield trainer_pb2.GetArtifactResponse(data=b"<html>", media_type="text/html", total_bytes=6)

    def _run(self, name: str) -> trainer_pb2.Run:
        if name not in self.runs:
            raise NotFoundError(f"no run {name}")
        return self.runs[name]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], str]]:
    monkeypatch.chdir(tmp_path)
    for name in ("GENERATOR", "ORACLE", "TRAINER"):
        monkeypatch.delenv(f"XENOLITH_{name}", raising=False)
    open_servers: list[Any] = []

    def serve(servicer: Any) -> str:
        server = threaded_server([servicer])
        open_servers.append(server)
        return str(server.__enter__().address)

    yield serve
    for server in open_servers:
        server.__exit__(None, None, None)


def test_score_writes_one_object_per_structure(at: Any, tmp_path: Path, capsys: Any) -> None:
    write_cif(SALT, tmp_path / "salt.cif")
    (tmp_path / "bad.cif").write_text("x")
    out = tmp_path / "out" / "scores.json"
    assert main(["score", "salt.cif", "bad.cif", "--oracle", at(Oracle()), "--json", str(out)]) == 0
    good, bad = json.loads(out.read_text())
    assert (good["source"], good["formula"], good["status"], good["calculator"]) == (
        "salt.cif",
        "NaCl",
        "OK",
        "counter-1",
    )
    assert good["e_above_hull"] is None
    wanted = {"energy_per_atom", "e_above_hull", "unique", "novel", "nearest_reference", "amd_distance"}
    assert wanted <= set(good)
    assert bad["status"] == "MALFORMED"
    shown = capsys.readouterr().out
    assert "1 OK, 1 MALFORMED; calculator counter-1" in shown
    assert "warning: cache is away" in shown


def test_score_of_nothing_good_fails(at: Any, capsys: Any) -> None:
    assert main(["score", "missing.cif", "--oracle", at(Oracle())]) == 1
    assert "there is no file or folder missing.cif" in capsys.readouterr().err


def test_json_on_stdout_is_json_alone(at: Any, tmp_path: Path, capsys: Any) -> None:
    write_cif(SALT, tmp_path / "salt.cif")
    main(["score", "salt.cif", "--oracle", at(Oracle()), "--json", "-"])
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_generate_samples_the_bundle_s_own_policy_or_a_run_s(at: Any, capsys: Any) -> None:
    generator, trainer = Generator(), Trainer()
    trainer.runs["done"] = trainer_pb2.Run(name="done", steps_done=7)
    address = at(generator)
    command = ["generate", "-n", "1", "--force", "--out", "p.extxyz", "--generator", address]
    assert main(command) == 0
    assert generator.request.expected_policy_version == "base"
    command += ["--trainer", at(trainer)]
    assert main([*command, "--run", "done"]) == 0
    assert generator.request.expected_policy_version == "done/7:abc"
    assert main([*command, "--run", "done/3"]) == 0
    assert generator.request.expected_policy_version == "done/3:abc"
    assert main(["generate", "--out", "q.extxyz", "--run", "done", "--generator", address]) == 1
    assert "give both" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--run", "done/last"])


def test_train_starts_from_a_run(at: Any) -> None:
    trainer = Trainer()
    command = ["train", "--name", "next", "--steps", "1", "--trainer", at(trainer)]
    assert main([*command, "--from-run", "first/40", "--algorithm", "awm"]) == 0
    config = trainer.runs["next"].config
    assert (config.from_run, config.algorithm) == ("first/40", "awm")


@pytest.mark.parametrize("target", ["new/samples.extxyz", "folder"])
def test_generate_writes_what_it_samples(at: Any, target: str, capsys: Any) -> None:
    command = ["generate", "-n", "3", "--out", target, "--json", "s.json", "--generator", at(Generator())]
    assert main(command) == 0
    items = read_extxyz(target) if target.endswith("xyz") else [i.crystal for i in read_paths([target])]
    assert [crystal.formula for crystal in items if crystal] == ["NaCl"] * 3
    if target.endswith("xyz"):
        assert [atoms.info["index"] for atoms in ase.io.read(target, ":")] == [0, 1, 2]
    told = json.loads(Path("s.json").read_text())
    assert [entry["seed"] for entry in told] == [2**63, 2**63 + 1, 2**63 + 2]
    assert main(command) == 1
    assert "say --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_a_request_that_is_refused_leaves_the_file_that_it_was_to_overwrite(at: Any) -> None:
    command = ["generate", "-n", "2", "--out", "keep.extxyz", "--generator", at(Generator())]
    assert main(command) == 0
    before = Path("keep.extxyz").read_bytes()
    nobody = ["generate", "-n", "2", "--out", "keep.extxyz", "--force", "--generator", "127.0.0.1:1"]
    assert main(nobody) == 1
    assert Path("keep.extxyz").read_bytes() == before
    assert main([*command, "--force"]) == 0
    assert len(read_extxyz("keep.extxyz")) == 2


def test_names_of_files_are_shown_as_they_are(at: Any, tmp_path: Path, capsys: Any) -> None:
    write_cif(SALT, tmp_path / "[slab] x[red]y[bold].cif")
    assert main(["score", str(tmp_path / "[slab] x[red]y[bold].cif"), "--oracle", at(Oracle())]) == 0
    assert "[slab] x[red]y[bold].cif" in capsys.readouterr().out


def test_notes_are_told_in_table_json_csv_and_page(at: Any, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_cif(SALT, folder / "salt.cif")
    text = (folder / "salt.cif").read_text()
    (folder / "salt.cif").write_text(text.replace("  1\n", "  .\n"))
    (folder / "readme.md").write_text("no structure")
    outs = ["--out", "s.csv", "--out", "s.html", "--json", "s.json"]
    assert main(["score", str(folder), "--oracle", at(Oracle()), *outs]) == 0
    said = capsys.readouterr().out
    assert "occupancy not given, taken as 1" in said
    assert "1 files are of no known kind and were not read" in said and "readme.md" in said
    (score,) = json.loads(Path("s.json").read_text())
    assert len(score["notes"]) == 1 and score["notes"][0].startswith("occupancy not given")
    for name in ("s.csv", "s.html"):
        assert "occupancy not given" in Path(name).read_text()


def test_clean_up_is_asked_of_the_generator(at: Any) -> None:
    generator = Generator()
    command = ["generate", "-n", "1", "--out", "clean.extxyz", "--symmetrize", "0.1", "--relax-steps", "5"]
    assert main([*command, "--generator", at(generator)]) == 0
    cleanup = generator.request.cleanup
    assert (cleanup.symmetrize_tolerance, cleanup.relax_steps) == (0.1, 5)
    with pytest.raises(SystemExit):
        main(["generate", "--symmetrize", "much"])


def test_finishing_is_asked_of_the_generator(at: Any) -> None:
    generator = Generator()
    command = ["generate", "-n", "1", "--out", "f.extxyz", "--finish-steps", "0", "--finish-noise", "0.5"]
    assert main([*command, "--generator", at(generator)]) == 0
    finishing = generator.request.finishing
    assert finishing.HasField("steps")
    assert (finishing.steps, finishing.noise) == (0, 0.5)
    assert main(["generate", "-n", "1", "--out", "d.extxyz", "--generator", at(generator)]) == 0
    assert not generator.request.finishing.HasField("steps")


def test_a_run_is_followed_to_its_report(at: Any, capsys: Any) -> None:
    Path("run.toml").write_text('name = "mine"\nsteps = 1\n[optimizer]\nkl_weight = 0.5\n')
    Path("reward.toml").write_text(
        'name = "r"\ninvalid_reward = -2\n[creativity]\npartial = 0.25\n'
        '[[terms]]\nmetric = "novel"\nnormalization = "none"\n'
    )
    trainer = Trainer()
    command = ["train", "run.toml", "--seed", "0", "--reward", "reward.toml", "--json", "run.json"]
    assert main([*command, "--trainer", at(trainer)]) == 0
    config = trainer.runs["mine"].config
    assert (config.steps, config.optimizer.kl_weight, config.invalid_reward) == (1, 0.5, -2)
    assert config.creativity.partial == 0.25
    assert config.reward_terms[0].normalization == trainer_pb2.REWARD_NORMALIZATION_NONE
    summary = json.loads(Path("run.json").read_text())
    assert (summary["base"]["msun"], summary["tuned"]["msun_ci95"]) == (0.25, [0.6, 0.9])
    shown = capsys.readouterr().out
    assert "base: mSUN 25.0% [10.0%, 40.0%] of 8 samples" in shown
    assert "step 1: warning: redis is away" in shown
    assert "75.0% [60.0%, 90.0%]" in shown
    assert Path("runs/mine/report.html").read_text() == "<html>"


def test_quickstart_starts_its_own_run_and_again_shows_it(at: Any, capsys: Any) -> None:
    trainer = Trainer()
    address = at(trainer)
    assert main(["quickstart", "--steps", "2", "--evaluate", "8", "--trainer", address]) == 0
    assert trainer.runs["quickstart"].config.evaluation.n == 8
    assert main(["quickstart", "--steps", "2", "--evaluate", "8", "--trainer", address]) == 0
    assert "is done already" in capsys.readouterr().out
    assert main(["quickstart", "--steps", "3", "--trainer", address]) == 1
    assert "take another --name" in capsys.readouterr().err


def test_quickstart_learns_by_awm_and_by_grpo_where_asked(at: Any) -> None:
    trainer = Trainer()
    address = at(trainer)
    assert main(["quickstart", "--trainer", address]) == 0
    assert main(["quickstart", "--algorithm", "grpo", "--name", "g", "--trainer", address]) == 0
    assert main(["quickstart", "--algorithm", "nft", "--name", "n", "--trainer", address]) == 0
    configs = {name: run.config for name, run in trainer.runs.items()}
    learnt_by = {name: config.algorithm for name, config in configs.items()}
    assert learnt_by == {"quickstart": "awm", "g": "grpo", "n": "nft"}
    assert configs["g"].atom_counts.max == 6
    assert not configs["n"].optimizer.HasField("kl_weight")  # nft has its own
    for config in configs.values():
        assert config.steps * config.groups * config.group_size <= 10_240
        assert config.evaluation.atom_counts.max == 20


def test_a_preset_is_changed_by_the_file_and_both_by_the_command_line(at: Any, tmp_path: Path) -> None:
    trainer = Trainer()
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ngroups = 3\n[optimizer]\nlearning_rate = 2e-5\n')
    command = ["train", str(file), "--preset", "paper", "--steps", "7", "--trainer", at(trainer)]
    assert main(command) == 0
    config = trainer.runs["mine"].config
    assert (config.steps, config.groups, config.group_size) == (7, 3, 64)
    assert (config.algorithm, config.reward_spec, config.sampler.steps) == ("grpo", "paper", 50)
    assert config.optimizer.learning_rate == 2e-5
    assert config.optimizer.clip_high == 1e-3
    assert config.optimizer.kl_weight == 1.0
    other = ["train", "--preset", "quickstart", "--name", "other", "--algorithm", "nft"]
    assert main([*other, "--trainer", at(trainer)]) == 0
    assert not trainer.runs["other"].config.optimizer.HasField("kl_weight")  # nft has its own


def test_a_run_whose_trainer_was_lost_goes_on(at: Any, capsys: Any) -> None:
    assert main(["train", "--name", "lost", "--steps", "1", "--trainer", at(Trainer())]) == 0
    assert "going on with run lost after step 0" in capsys.readouterr().out


def test_a_failed_run_says_why(at: Any, capsys: Any) -> None:
    assert main(["train", "--name", "fails", "--trainer", at(Trainer())]) == 1
    assert "run fails failed: the oracle speaks of another hull" in capsys.readouterr().err


def test_evaluate_reports_the_headline_metrics(at: Any, capsys: Any) -> None:
    assert main(["evaluate", "mine", "-n", "8", "--trainer", at(Trainer()), "--json", "e.json"]) == 0
    values = json.loads(Path("e.json").read_text())
    assert (values["n"], values["msun"], values["msun_ci95"]) == (8, 0.75, [0.6, 0.9])
    assert "score: 3/8" in capsys.readouterr().out


def test_report_of_a_local_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XENOLITH_TRAINER", raising=False)
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    assert main(["report", "r"]) == 1
    assert "no summary.json yet" in capsys.readouterr().err
    share = dict.fromkeys(("valid", "unique", "novel", "metastable", "stable", "sun", "msun"), 0.5)
    (folder / "summary.json").write_text(
        json.dumps({"base": {"n": 4, **share, "msun_ci95": [0.4, 0.6]}, "tuned": None})
    )
    (folder / "report.html").write_text("<html>")
    assert main(["report", "r"]) == 0
    assert "[40.0%, 60.0%]" in capsys.readouterr().out
    assert main(["report", "none"]) == 1


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["train", "--trainer", "localhost:1"], "the run needs a name"),
        (["train", "bad.toml", "--trainer", "localhost:1"], "bad.toml"),
        (["train", "unknown.toml", "--trainer", "localhost:1"], "stepz"),
        (["train", "--name", "x", "--detach"], "--detach needs a trainer"),
        (["bundle", "show", "nothing"], "no bundle"),
        (["generate", "--composition", "Sr(TiO3", "--generator", "localhost:1"], "is no formula"),
        (["generate", "--property", "band_gap", "--generator", "localhost:1"], "NAME=VALUE"),
        (["generate", "--system", "Li-Xy", "--generator", "localhost:1"], "'Xy' is no element"),
        (["score", "salt.cif", "--token-file", "missing", "--oracle", "localhost:1"], "missing"),
    ],
)
def test_mistakes_are_told_in_one_line(
    command: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cif(SALT, "salt.cif")
    Path("bad.toml").write_text("name =")
    Path("unknown.toml").write_text('name = "x"\nstepz = 3')
    assert main(command) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


class SweepTrainer(Trainer):
    """A trainer whose tuned policies are the better, the more creativity weighs."""

    async def StartRun(self, request: Any, context: Any) -> Any:
        if not request.validate_only:
            return await super().StartRun(request, context)
        config = trainer_pb2.RunConfig()
        config.CopyFrom(request.config)
        for name, weight in (("creativity", 0.7), ("near_hull", 2.0)):
            config.reward_terms.add(name=name, metric=name, weight=weight)
        return trainer_pb2.StartRunResponse(run=trainer_pb2.Run(name=config.name, config=config))

    async def WatchRun(self, request: Any, context: Any) -> Any:
        async for event in super().WatchRun(request, context):
            yield event
        run = self._run(request.name)
        weights = {term.name: term.weight for term in run.config.reward_terms}
        for evaluation, value in ((run.base, 0.1), (run.tuned, 0.2 + 0.2 * weights["creativity"])):
            for name in ("novel", "metastable", "unique", "msun"):
                getattr(evaluation, name).CopyFrom(
                    trainer_pb2.Estimate(value=value, low=value - 0.01, high=value + 0.01)
                )


SWEEP = """
name = "w"
seeds = [3, 4]
preset = "quickstart-grpo"
[run]
steps = 2
[weights]
creativity = [0.5, 1.0]
near_hull = [1.0, 4.0]
"""


def test_a_sweep_runs_every_setting_with_every_seed_and_says_which_is_robust(
    at: Any, tmp_path: Path, capsys: Any
) -> None:
    trainer = SweepTrainer()
    address = at(trainer)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    assert main(["sweep", "sweep.toml", "--list", "--trainer", address]) == 0
    assert "w-03-seed4" in capsys.readouterr().out
    assert not trainer.runs
    assert main(["sweep", "sweep.toml", "--trainer", address]) == 0
    assert len(trainer.runs) == 8
    weights = {
        (run.config.seed, *(term.weight for term in run.config.reward_terms)) for run in trainer.runs.values()
    }
    assert weights == {(s, c, n) for s in (3, 4) for c in (0.5, 1.0) for n in (1.0, 4.0)}
    assert {(run.config.steps, run.config.algorithm) for run in trainer.runs.values()} == {(2, "grpo")}
    document = json.loads((tmp_path / "sweeps" / "w" / "sweep.json").read_text())
    assert document["robust"] == ["creativity 1, near_hull 1", "creativity 1, near_hull 4"]
    assert "2 settings are robust" in document["conclusion"]
    assert "2 settings are robust" in (tmp_path / "sweeps" / "w" / "sweep.html").read_text()
    assert len(document["runs"]) == 8


def test_a_sweep_goes_on_where_it_was_stopped(at: Any, tmp_path: Path) -> None:
    trainer = SweepTrainer()
    address = at(trainer)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    assert main(["sweep", "sweep.toml", "--trainer", address]) == 0
    trainer.runs["w-01-seed3"].state = trainer_pb2.RUN_STATE_STOPPED
    del trainer.runs["w-03-seed4"]
    assert main(["sweep", "sweep.toml", "--trainer", address]) == 0
    assert trainer.resumed
    assert {run.state for run in trainer.runs.values()} == {trainer_pb2.RUN_STATE_SUCCEEDED}
    assert len(trainer.runs) == 8


def test_a_sweep_of_a_term_that_the_reward_lacks_is_refused(at: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "sweep.toml").write_text(SWEEP.replace("near_hull", "nearness"))
    assert main(["sweep", "sweep.toml", "--trainer", at(SweepTrainer())]) == 1
    assert "the reward's terms are creativity, near_hull" in capsys.readouterr().err
    (tmp_path / "sweep.toml").write_text(SWEEP.replace("seeds", "seds"))
    assert main(["sweep", "sweep.toml", "--trainer", at(SweepTrainer())]) == 1
    assert "seds" in capsys.readouterr().err
