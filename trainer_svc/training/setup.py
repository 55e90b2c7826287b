"""Preparation of a run: the services, the policy it starts from, its last checkpoint."""

from dataclasses import dataclass

from torch import Tensor

from trainer_svc.algorithms.forward import ForwardSettings
from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import ConfigError, SourceChangedError
from trainer_svc.evaluation.evaluator import Evaluator
from trainer_svc.rewards.measurements import EMBEDDING_DIVERSITY
from trainer_svc.rollouts.conditions import Conditions
from trainer_svc.rollouts.draws import AtomCountPrior
from trainer_svc.rollouts.judging import Judging
from trainer_svc.rollouts.pipeline import RolloutPipeline
from trainer_svc.rollouts.relaxing import Relaxing
from trainer_svc.runs.board import Board
from trainer_svc.runs.candidates import Candidates
from trainer_svc.runs.checkpoints import Checkpoints, TrainingState
from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.run_log import RunLog
from trainer_svc.runs.targets import Targets
from trainer_svc.runs.versions import software_versions, source_versions
from trainer_svc.services.policy_link import PolicyLink, build_denoiser, tensors_of, version_of
from trainer_svc.services.remote import Generator, Oracle
from trainer_svc.services.scoring import Scorer, components_of
from trainer_svc.training.earlier_runs import policy_of_run
from trainer_svc.training.learner import Learner
from trainer_svc.training.offers import algorithm_settings, check_offers, properties_of
from xenolith.files import write_json
from xenolith.serving import Worker
from xenolith.v1 import generator_pb2, oracle_pb2

__all__ = ["Parts", "Preparation"]

_KEPT_CHECKPOINTS = 3


@dataclass(kw_only=True)
class Parts:
    """Parts that a prepared run works with."""

    source: generator_pb2.GeneratorServiceDescribeResponse
    base: tuple[str, dict[str, Tensor]]
    """Version and weights that the run starts from."""
    learner: Learner
    state: TrainingState
    link: PolicyLink
    scorer: Scorer
    pipeline: RolloutPipeline
    evaluator: Evaluator
    candidates: Candidates
    targets: Targets
    board: Board


class Preparation:
    """One run and what it works with; puts it together, anew or from its last checkpoint.

    Parameters
    ----------
    directory, config, log_
        Of the run.
    services
        Generator and oracle.
    worker
        Thread for everything that computes.
    from_step
        Step whose checkpoint to go back to; None: the last one is restored.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: RunConfig,
        log_: RunLog,
        services: tuple[Generator, Oracle],
        worker: Worker,
        from_step: int | None = None,
    ) -> None:
        self.directory, self.config, self.log, self.worker = directory, config, log_, worker
        # Of the last ones each can be gone back to, and goes on with policies as old as the run allows.
        kept = _KEPT_CHECKPOINTS + config.max_staleness
        self.checkpoints = Checkpoints(directory.checkpoints, kept)
        self._generator, self._oracle = services
        self._from_step = from_step

    async def prepare(self) -> Parts:
        """Ask both services what they are, restore the last checkpoint, and put the run together.

        Raises
        ------
        SourceChangedError
            The generator serves another bundle than the run began with.
        ConfigError
            A service does not offer what the configuration asks for.
        CheckpointError
            The checkpoint cannot be used.
        """
        if self._from_step is not None:
            await self.worker.run(self.checkpoints.go_back, self._from_step)
            self.log.go_back(self._from_step)
        source = await self._generator.describe()
        measures = await self._oracle.describe()
        self._check_source(source)
        check_offers(self.config, measures)
        write_json(
            self.directory.versions, {"software": software_versions(), **source_versions(source, measures)}
        )
        if not self.checkpoints.steps():
            await self._fetch_base(source)
        _, base = self.checkpoints.weights(0)
        learner, state = await self.worker.run(self._restore, source, base)
        link = PolicyLink(self._generator, source)
        # Named in all calls: no other property can fail a structure, and its predictor is part of the scale.
        wanted = properties_of(self.config.reward)
        named = {"properties": list(wanted)} if wanted else {}
        if oracle_pb2.COMPONENT_AUDIT in components_of(self.config.reward):
            # So are the judges that a reward listens to.
            named["audit_calculator_ids"] = [info.id for info in measures.audit_calculators]
        scorer = Scorer(
            self._oracle,
            {**named, **self.config.score_settings},
            on_progress=self.log.progress,
        )
        if self.log.run.score_provenance.settings_digest:
            scorer.pin(self.log.run.score_provenance)
        prior = AtomCountPrior(source.atom_count_prior, self.config.atom_counts, source.max_atoms)
        judged = self.config.evaluation.atom_counts or self.config.atom_counts
        judged_prior = AtomCountPrior(source.atom_count_prior, judged, source.max_atoms)
        asked = self.config.conditions
        cached = measures.cache_backend not in {"", "none"}
        candidates = Candidates(self.directory.path)
        candidates.rewind(state.step, state.candidates_bytes)
        targets = Targets(self.directory.path)
        targets.rewind(state.step)
        return Parts(
            source=source,
            base=(version_of(self.config.name, 0, base), base),
            learner=learner,
            state=state,
            link=link,
            scorer=scorer,
            pipeline=RolloutPipeline(
                self.config,
                Conditions.of(asked, prior, source),
                link,
                scorer,
                warm=cached,
                relaxing=self._relaxing(link, scorer),
                judging=self._judging(scorer),
            ),
            evaluator=Evaluator(Conditions.of(asked, judged_prior, source), link, scorer),
            candidates=candidates,
            targets=targets,
            board=Board(self.directory.tensorboard, state.step + 1),
        )

    def _relaxing(self, link: PolicyLink, scorer: Scorer) -> Relaxing | None:
        """Return what makes relaxed targets, where the algorithm asks for them."""
        settings, reward = algorithm_settings(self.config), self.config.reward
        if not isinstance(settings, ForwardSettings) or not settings.relaxed_targets:
            return None
        components = components_of(reward)
        return Relaxing(settings, link, scorer, components, embeddings=reward.needs_embeddings)

    def _judging(self, scorer: Scorer) -> Judging | None:
        """Return what has the best of a step judged, where that is asked for."""
        settings = algorithm_settings(self.config)
        return Judging(settings, scorer) if settings.judge_best else None

    def _check_source(self, source: generator_pb2.GeneratorServiceDescribeResponse) -> None:
        wanted = self.config.expected_bundle_digest or self.log.run.bundle_digest
        if wanted and wanted != source.bundle_digest:
            raise SourceChangedError(
                f"the generator serves bundle {source.bundle_name} {source.bundle_digest[:12]}, this run"
                f" needs {wanted[:12]}; start the generator with that bundle"
            )
        if self.config.reward.needs_embeddings and not source.embedding_dim:
            raise ConfigError(
                f"the reward values {EMBEDDING_DIVERSITY}, and the generator gives no embeddings; value"
                " structure_diversity, which the oracle measures, or change the generator"
            )
        if self.config.sampler.steps > source.num_timesteps > 0:
            raise ConfigError(f"sampler.steps is above the {source.num_timesteps} that the generator allows")
        self.log.update(bundle_name=source.bundle_name, bundle_digest=source.bundle_digest)

    async def _fetch_base(self, source: generator_pb2.GeneratorServiceDescribeResponse) -> None:
        """Keep the policy that the run starts from as the checkpoint of step 0."""
        if self.config.from_run:
            _, weights = policy_of_run(self.directory.path.parent, self.config.from_run, source.bundle_digest)
        else:
            wanted = self.config.base_policy_version or "base"
            received = await self._generator.weights(wanted)
            weights = tensors_of(received)
        learner = Learner(self.config, build_denoiser(source.denoiser_config_json, weights))
        version = version_of(self.config.name, 0, weights)
        await self.worker.run(self.checkpoints.save, learner.weights, TrainingState(policy_version=version))

    def _restore(
        self, source: generator_pb2.GeneratorServiceDescribeResponse, base: dict[str, Tensor]
    ) -> tuple[Learner, TrainingState]:
        learner = Learner(self.config, build_denoiser(source.denoiser_config_json, base))
        state = self.checkpoints.load(learner.weights)
        learner.experience.restore(state.experience, self.checkpoints.latents())
        return learner, state
