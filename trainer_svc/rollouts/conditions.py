"""Conditions of a run or an evaluation: checked against the generator, taken in turn."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from generator_svc.conditioning import check_conditions, fitting_atom_counts, formula
from trainer_svc.errors import ConfigError
from trainer_svc.rollouts.draws import AtomCountPrior
from trainer_svc.services.policy_link import learnt_conditions
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import generator_pb2

__all__ = ["Conditions"]


class Conditions:
    """Conditions that groups, or samples of an evaluation, take in turn."""

    def __init__(self, messages: Sequence[generator_pb2.Condition], prior: AtomCountPrior) -> None:
        """Bind conditions to the atom counts among which their samples are drawn.

        Raises
        ------
        ConfigError
            None of these holds a composition.
        """
        self._messages, self._prior = list(messages), prior
        self._priors = [self._holding(message) for message in self._messages]

    @classmethod
    def of(
        cls,
        documents: Sequence[dict[str, Any]],
        prior: AtomCountPrior,
        source: generator_pb2.GeneratorServiceDescribeResponse,
    ) -> "Conditions":
        """Read conditions in the contract's JSON form.

        Raises
        ------
        ConfigError
            The generator has not learnt them.
        """
        messages = [json_format.ParseDict(document, generator_pb2.Condition()) for document in documents]
        try:
            check_conditions(messages, learnt_conditions(source), list(source.elements))
        except InvalidArgumentError as error:
            raise ConfigError(str(error)) from error
        return cls(messages, prior)

    def __bool__(self) -> bool:
        return bool(self._messages)

    def at(self, index: int) -> generator_pb2.Condition | None:
        """Give the condition whose turn it is; None where there are none."""
        return self._messages[index % len(self._messages)] if self._messages else None

    def prior_at(self, index: int) -> AtomCountPrior:
        """Give the atom counts that hold this condition's composition."""
        return self._priors[index % len(self._priors)] if self._priors else self._prior

    def _holding(self, message: generator_pb2.Condition) -> AtomCountPrior:
        if not message.composition:
            return self._prior
        fitting = set(fitting_atom_counts(message, max(self._prior.counts)))
        held = [count for count in self._prior.counts if count in fitting]
        if not held:
            raise ConfigError(
                f"conditions: {formula(message)} fills no cell of {min(self._prior.counts)} to"
                f" {max(self._prior.counts)} atoms; widen atom_counts"
            )
        return self._prior.among(held)
