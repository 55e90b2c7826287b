"""Check of a run's demands on its oracle, before the first step."""

from trainer_svc.algorithms.base import AlgorithmSettings
from trainer_svc.algorithms.forward import ForwardSettings
from trainer_svc.algorithms.registry import algorithm_named
from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import ConfigError
from trainer_svc.rewards import RewardSpec
from trainer_svc.rewards.metrics import columns_of
from trainer_svc.services.scoring import components_of
from xenolith.contract.columns import component_of_column
from xenolith.v1 import oracle_pb2

__all__ = ["algorithm_settings", "check_offers", "properties_of"]

_ON_THE_HULL = frozenset(
    {"e_above_hull", "formation_energy_per_atom", "committee_e_above_hull", "committee_spread"}
)
"""Columns that need a hull."""
_AMONG_KNOWN = frozenset(
    {
        oracle_pb2.COMPONENT_NOVELTY,
        oracle_pb2.COMPONENT_STRUCTURE_DIVERSITY,
        oracle_pb2.COMPONENT_COMPOSITION_DIVERSITY,
    }
)
"""Components that compare with known structures."""


def properties_of(spec: RewardSpec) -> tuple[str, ...]:
    """Name the properties that a reward values."""
    columns = {column.partition(".") for term in spec.terms for column in columns_of(term)}
    return tuple(sorted(name for kind, _, name in columns if kind == "properties"))


def algorithm_settings(config: RunConfig) -> AlgorithmSettings:
    """Return the settings of the run's algorithm."""
    return algorithm_named(config.algorithm).Settings.model_validate(config.algorithm_settings)


def _check_relaxation(config: RunConfig, oracle: oracle_pb2.OracleServiceDescribeResponse) -> None:
    """Refuse relaxed targets of an oracle whose calculator cannot relax."""
    settings, name = algorithm_settings(config), str(config.score_settings.get("calculator_id", ""))
    if not isinstance(settings, ForwardSettings) or not settings.relaxed_targets:
        return
    chosen = next((info for info in oracle.calculators if not name or info.id == name), None)
    if chosen is None or not chosen.supports_relaxation:
        which = "this oracle's calculator" if chosen is None else chosen.id
        raise ConfigError(
            f"algorithm_settings.relaxed_targets needs relaxations, which {which} does not offer; set it to"
            " 0, or change the calculator"
        )


def _check_reference(config: RunConfig, oracle: oracle_pb2.OracleServiceDescribeResponse) -> None:
    """Refuse metrics that the run's reference leaves without a measure: it has no hull, or nothing known."""
    name = str(config.score_settings.get("reference_id", ""))
    chosen = next((info for info in oracle.references if not name or info.id == name), None)
    if chosen is None:  # an oracle that lists none, or another than its own answers for itself
        return
    if config.evaluation.every and not (chosen.hull_id and chosen.num_structures):
        lacking = "known structures" if chosen.hull_id else "hull"
        raise ConfigError(
            f"evaluation.every chooses policies by their mSUN, and the oracle's reference {chosen.id} has no"
            f" {lacking}; start the oracle with a --reference that has both, or leave evaluation.every out"
        )
    for term in config.reward.terms:
        columns = columns_of(term)
        if any(column.rpartition(".")[2] in _ON_THE_HULL for column in columns) and not chosen.hull_id:
            raise ConfigError(
                f"the reward values {term.metric}, and the oracle's reference {chosen.id} has no hull; start"
                " the oracle with a --reference that has one, or change the reward"
            )
        among_known = any(component_of_column(column) in _AMONG_KNOWN for column in columns)
        if among_known and not chosen.num_structures:
            raise ConfigError(
                f"the reward values {term.metric}, and the oracle's reference {chosen.id} is a hull alone;"
                " start the oracle with a --reference that has structures, or change the reward"
            )


def check_offers(config: RunConfig, oracle: oracle_pb2.OracleServiceDescribeResponse) -> None:
    """Refuse a run whose reward or audits the oracle cannot serve.

    Raises
    ------
    ConfigError
        A component, property, hull, second calculator or known structures are missing; says which there are.
    """
    offered = {info.name for info in oracle.properties}
    for name in properties_of(config.reward):
        if name not in offered:
            known = ", ".join(sorted(offered)) or "none"
            raise ConfigError(
                f"the reward values properties.{name}, and the oracle predicts {known}; start the oracle "
                "with --properties, or change the reward"
            )
    missing = sorted(set(components_of(config.reward)) - set(oracle.components))
    if missing:
        names = ", ".join(oracle_pb2.Component.Name(number) for number in missing)
        raise ConfigError(
            f"the reward and the headline metrics need {names}, which this oracle does not measure; change"
            " the reward, or the oracle"
        )
    _check_reference(config, oracle)
    _check_relaxation(config, oracle)
    relaxed = [
        term.metric
        for term in config.reward.terms
        if any(column.startswith("relaxation.") for column in columns_of(term))
    ]
    if relaxed and "relax" not in config.score_settings:
        raise ConfigError(
            f"the reward values {relaxed[0]}, and nothing is relaxed; set score_settings.relax, or change"
            " the reward"
        )
    auditors = {info.id for info in oracle.audit_calculators}
    asked = [("evaluation.audit_calculator_ids", name) for name in config.evaluation.audit_calculator_ids]
    if judge := algorithm_settings(config).judge:
        asked.append(("algorithm_settings.judge", judge))
    for field, name in asked:
        if name not in auditors:
            known = ", ".join(sorted(auditors)) or "none"
            raise ConfigError(
                f"{field} names {name}, and the oracle's second calculators are {known}; start the oracle"
                f" with --audit {name}"
            )
