"""What a run wants of its oracle, checked before the first step."""

from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import ConfigError
from trainer_svc.rewards import RewardSpec
from trainer_svc.services.scoring import components_of
from xenolith.v1 import oracle_pb2

__all__ = ["check_offers", "properties_of"]


def properties_of(spec: RewardSpec) -> tuple[str, ...]:
    """Name the properties that a reward values."""
    names = {term.metric.partition(".")[2] for term in spec.terms if term.metric.startswith("properties.")}
    return tuple(sorted(names))


def check_offers(config: RunConfig, oracle: oracle_pb2.OracleServiceDescribeResponse) -> None:
    """Refuse a run whose reward or audits the oracle cannot serve.

    Raises
    ------
    ConfigError
        A component, a property or a second calculator is missing; says which there are.
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
    relaxed = [term.metric for term in config.reward.terms if term.metric.startswith("relaxation.")]
    if relaxed and "relax" not in config.score_settings:
        raise ConfigError(
            f"the reward values {relaxed[0]}, and nothing is relaxed; set score_settings.relax, or change"
            " the reward"
        )
    auditors = {info.id for info in oracle.audit_calculators}
    for name in config.evaluation.audit_calculator_ids:
        if name not in auditors:
            known = ", ".join(sorted(auditors)) or "none"
            raise ConfigError(
                f"evaluation.audit_calculator_ids names {name}, and the oracle's second calculators are "
                f"{known}; start the oracle with --audit {name}"
            )
