"""Who may call what: the one table of access rules, for every method that a service of this contract has.

A test holds it against the descriptors and against what a server's reflection lists, so that a method cannot
be added without a rule. A method that stands nowhere here is for administrators.
"""

from enum import StrEnum

__all__ = ["ACCESS", "ROLES", "Access", "access_of", "may_call"]


class Access(StrEnum):
    """Credentials and certificates that a caller needs to be let in."""

    EVERYONE = "everyone"
    """Nothing: health checks, which come from programs without a token."""
    CALLER = "caller"
    """Any valid token."""
    SCORE = "score"
    """The role of those who have structures measured."""
    SAMPLE = "sample"
    """The role of those who have structures made."""
    TRAIN = "train"
    """The role of those who run trainings, and of the trainer itself, which replaces a generator's policy."""
    ADMIN = "admin"
    """The role that may call everything."""


ROLES = (Access.SCORE, Access.SAMPLE, Access.TRAIN, Access.ADMIN)
"""What a token can be given."""

_OF_SERVICE: dict[str, dict[str, Access]] = {
    "grpc.health.v1.Health": {
        "Check": Access.EVERYONE,
        "Watch": Access.EVERYONE,
        "List": Access.EVERYONE,
    },
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Access.CALLER},
    "xenolith.v1.GeneratorService": {
        "Describe": Access.CALLER,
        "Sample": Access.SAMPLE,
        "Encode": Access.SAMPLE,
        "Decode": Access.SAMPLE,
        "UpdateWeights": Access.TRAIN,
        "GetWeights": Access.TRAIN,
    },
    "xenolith.v1.OracleService": {
        "Describe": Access.CALLER,
        "Score": Access.SCORE,
        "ScoreStream": Access.SCORE,
        "SubmitScore": Access.SCORE,
        "GetOperation": Access.SCORE,
        "WaitOperation": Access.SCORE,
        "CancelOperation": Access.SCORE,
        # With an operation's id anybody who scores can read and cancel it; not everybody is told all ids.
        "ListOperations": Access.ADMIN,
    },
    "xenolith.v1.TrainerService": {
        "Describe": Access.CALLER,
        "StartRun": Access.TRAIN,
        "GetRun": Access.TRAIN,
        "ListRuns": Access.TRAIN,
        "WatchRun": Access.TRAIN,
        "StopRun": Access.TRAIN,
        "ResumeRun": Access.TRAIN,
        "DeleteRun": Access.TRAIN,
        "Evaluate": Access.TRAIN,
        "PublishPolicy": Access.TRAIN,
        "GetArtifact": Access.TRAIN,
    },
}

ACCESS: dict[str, Access] = {
    f"/{service}/{method}": access
    for service, methods in _OF_SERVICE.items()
    for method, access in methods.items()
}
"""The rule of each method, by its full name such as ``/xenolith.v1.OracleService/Score``."""


def access_of(method: str) -> Access:
    """Return the rule of a method, by its full name."""
    return ACCESS.get(method, Access.ADMIN)


def may_call(roles: frozenset[Access], method: str) -> bool:
    """Whether a caller with a valid token of these roles may call a method."""
    rule = access_of(method)
    return rule in {Access.EVERYONE, Access.CALLER} or rule in roles or Access.ADMIN in roles
