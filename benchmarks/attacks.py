"""Attacks by callers of bad will on a service: its health meanwhile, its memory, and what they get.

Oracle, generator and trainer run as processes with tokens. Each attack is tried once, with a token unless it
says otherwise, while another process asks for the service's health fifty times a second. Requests are of
bounded size and time and stay on this machine. `idle` is a service that nobody attacks, the measure for all.

    python -m benchmarks.attacks --json attacks.json      # about three minutes
    python -m benchmarks.attacks --quick                  # a check that it runs

Times depend on the machine and its load. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.attack_parts.health import figures, watched
from benchmarks.attack_parts.services import MIB, Service, serving, tokens_file
from benchmarks.command_line import benchmark_parser, parse, publish
from xenolith.contract.wire import batch_to_proto, tensor_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import (
    crystal_pb2,
    generator_pb2,
    generator_pb2_grpc,
    oracle_pb2,
    oracle_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
)

HUGE = 2**31 - 1
_NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_ACCEPTED_S = 4.0
"""How long work that is let in goes on before its caller cancels it, seconds."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service as an attacker sees it."""

    channel: grpc.Channel
    stub: Any
    mine: tuple[tuple[str, str], ...]
    """Metadata with the attacker's token."""
    others: tuple[tuple[str, str], ...]
    """With another caller's."""


Attack = Callable[[Target], str]
"""Does its worst and returns what came of it."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("attacks", __doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(ATTACKS), help="attacks to try; default: all")
    parser.add_argument("--idle-s", type=float, default=5.0, help="seconds of watching an idle service")
    arguments = parse(parser, argv, quick={"only": ["million_tensors", "unknown_settings"], "idle_s": 1.0})
    chosen = {name: ATTACKS[name] for name in arguments.only or ATTACKS}
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        tokens = tokens_file(folder, ("attacker", "other"))
        common = ("--tokens", str(folder / "tokens.toml"), "--log-level", "warning")
        options = {
            "oracle_svc": ("--workers", "1", "--cache", "none", "--state", str(folder / "state")),
            "generator_svc": ("--threads", "1"),
            "trainer_svc": ("--runs", str(folder / "runs"), "--threads", "1"),
        }
        stubs: dict[str, Any] = {
            "oracle_svc": oracle_pb2_grpc.OracleServiceStub,
            "generator_svc": generator_pb2_grpc.GeneratorServiceStub,
            "trainer_svc": trainer_pb2_grpc.TrainerServiceStub,
        }
        for module in dict.fromkeys(module for module, _ in chosen.values()):
            service = stack.enter_context(serving(module, folder, *options[module], *common))
            channel = stack.enter_context(grpc.insecure_channel(service.address, options=_NO_LIMIT))
            target = Target(
                channel=channel,
                stub=stubs[module](channel),
                mine=_shown(tokens["attacker"]),
                others=_shown(tokens["other"]),
            )

            def idle(_: Target) -> str:
                time.sleep(arguments.idle_s)
                return "nothing"

            tried = {f"idle_{module}": idle} | {
                attack: run for attack, (where, run) in chosen.items() if where == module
            }
            for attack, run in tried.items():
                rows[attack] = row = _tried(service, target, run)
                print(
                    f"{attack:28} p99 {row['health_p99_ms']:7.1f} ms  max {row['health_max_ms']:7.1f} ms  "
                    f"peak {row['peak_mb']:6.0f} MB (+{row['grown_mb']:.0f})  {row['outcome']}",
                    file=sys.stderr,
                    flush=True,
                )
    publish({"attacks": rows}, arguments.json)
    return 0


def _tried(service: Service, target: Target, attack: Attack) -> dict[str, Any]:
    before = service.memory_mb()
    service.forget_peak()
    with watched(service.address) as latencies:
        begin = time.monotonic()
        outcome = attack(target)
        seconds = time.monotonic() - begin
        time.sleep(1.0)
    return {
        "outcome": outcome,
        "seconds": seconds,
        **figures(latencies),
        "peak_mb": service.memory_mb(peak=True),
        "grown_mb": service.memory_mb() - before,
    }


def _shown(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _outcome(call: Callable[[], Any]) -> str:
    """Name of the status with which a call ends; its answers are read."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            for _ in answer:
                pass
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _score(target: Target, data: bytes, *, token: bool = True, compression: Any = None) -> str:
    """Send bytes to Score as they are."""
    send: Any = target.channel.unary_unary("/xenolith.v1.OracleService/Score")
    metadata = target.mine if token else ()
    return _outcome(lambda: send(data, metadata=metadata, timeout=60, compression=compression))


def _at_once(count: int, run: Callable[[], str]) -> str:
    outcomes: list[str] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ", ".join(sorted(set(outcomes)))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes as the wire has it."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def packed_without_a_token(target: Target) -> str:
    data = _field(2, b"\x01" * (60 * MIB))
    return _at_once(3, lambda: _score(target, data, token=False, compression=grpc.Compression.Gzip))


def packed_with_a_token(target: Target) -> str:
    data = _field(2, b"\x01" * (60 * MIB))
    return _at_once(3, lambda: _score(target, data))


def packed_lists_let_in(target: Target) -> str:
    data = _field(1, _field(1, b"\x01" * (15 * MIB)) + _field(2, bytes(40 * MIB)))
    return _at_once(3, lambda: _score(target, data))


def millions_of_fields(target: Target) -> str:
    data = _field(3, b"\x32\x00" * (20 * MIB))
    return _at_once(3, lambda: _score(target, data))


def silent_streams(target: Target) -> str:
    ended = threading.Event()

    def never() -> Iterator[Any]:
        ended.wait(30)
        yield from ()

    streams = [target.stub.ScoreStream(never(), metadata=target.mine, timeout=30) for _ in range(40)]
    time.sleep(1.0)
    request = oracle_pb2.ScoreRequest(crystals=_salt(1), components=[oracle_pb2.COMPONENT_VALIDITY])
    others = _outcome(lambda: target.stub.Score(request, metadata=target.others, timeout=60))
    ended.set()
    for stream in streams:
        stream.cancel()
    return f"another caller: {others}"


def unknown_settings(target: Target) -> str:
    request = oracle_pb2.ScoreRequest(crystals=_salt(1))
    for number in range(300_000):
        request.settings.calculator_settings.fields[f"key {number}"].number_value = 1.0
    return _outcome(lambda: target.stub.Score(request, metadata=target.mine, timeout=60))


def known_structures(target: Target) -> str:
    request = oracle_pb2.ScoreRequest(crystals=_salt(1), known=_salt(20_000))
    return _outcome(lambda: target.stub.Score(request, metadata=target.mine, timeout=_ACCEPTED_S))


def patience(target: Target) -> str:
    settings = oracle_pb2.ScoreSettings(structure_timeout_s=1e9, relax={"max_steps": HUGE})
    request = oracle_pb2.ScoreRequest(crystals=_salt(1), settings=settings)
    return _outcome(lambda: target.stub.Score(request, metadata=target.mine, timeout=60))


def full_batches(target: Target) -> str:
    request = oracle_pb2.ScoreRequest(crystals=_salt(4096), settings={"use_cache": False})
    return _at_once(
        8, lambda: _outcome(lambda: target.stub.Score(request, metadata=target.mine, timeout=_ACCEPTED_S))
    )


def million_tensors(target: Target) -> str:
    header = _header(target)
    entry = crystal_pb2.TensorSpec(name="w", dtype=crystal_pb2.DTYPE_FLOAT32, shape=[1])
    header.tensors.extend([entry] * 1_000_000)
    parts = [generator_pb2.UpdateWeightsRequest(header=header)]
    return _outcome(lambda: target.stub.UpdateWeights(iter(parts), metadata=target.mine, timeout=60))


def junk_weights(target: Target) -> str:
    header = _header(target)
    size = 1_500 * MIB
    header.tensors.add(name="w", dtype=crystal_pb2.DTYPE_FLOAT32, shape=[size // 4])
    header.total_bytes = size

    def parts() -> Iterator[generator_pb2.UpdateWeightsRequest]:
        yield generator_pb2.UpdateWeightsRequest(header=header)
        for offset in range(0, size, MIB):
            chunk = generator_pb2.WeightsChunk(offset=offset, data=bytes(MIB))
            yield generator_pb2.UpdateWeightsRequest(chunk=chunk)

    return _outcome(lambda: target.stub.UpdateWeights(parts(), metadata=target.mine, timeout=60))


def decode_and_encode(target: Target) -> str:
    known = _describe(target)
    latents = np.random.default_rng(0).normal(size=(4096 * 8, known.latent_dim))
    decode = generator_pb2.DecodeRequest(
        num_atoms=[8] * 4096,
        latents=tensor_to_proto(latents),
        expected_autoencoder_digest=known.autoencoder_digest,
    )
    encode = generator_pb2.EncodeRequest(crystals=_salt(4096))
    ends = [
        _outcome(lambda: target.stub.Decode(decode, metadata=target.mine, timeout=_ACCEPTED_S)),
        _outcome(lambda: target.stub.Encode(encode, metadata=target.mine, timeout=_ACCEPTED_S)),
    ]
    return ", ".join(ends)


def long_sampling(target: Target) -> str:
    sampler = generator_pb2.SamplerSettings(steps=1000)
    request = generator_pb2.SampleRequest(num_samples=10_000, sampler=sampler)
    long = target.stub.Sample(request, metadata=target.mine, timeout=120)
    time.sleep(2.0)
    small = generator_pb2.SampleRequest(num_samples=1)
    begin = time.monotonic()
    outcome = _outcome(lambda: target.stub.Sample(small, metadata=target.others, timeout=120))
    waited = time.monotonic() - begin
    long.cancel()
    return f"another caller's single sample: {outcome} after {waited:.1f} s"


def odd_shapes(target: Target) -> str:
    header = _header(target)
    header.tensors.add(name="w", dtype=crystal_pb2.DTYPE_FLOAT32, shape=[0, 2**62])
    deep = _header(target)
    deep.kind, deep.base_policy_version = generator_pb2.WEIGHTS_KIND_ADAPTER, "base"
    deep.config_json = "[" * 100_000
    ends = []
    for one in (header, deep):
        parts = iter([generator_pb2.UpdateWeightsRequest(header=one)])
        ends.append(_outcome(partial(target.stub.UpdateWeights, parts, metadata=target.mine, timeout=60)))
    return ", ".join(ends)


def astronomical_run(target: Target) -> str:
    config = trainer_pb2.RunConfig(name="huge", steps=HUGE, labels={"note": "x" * 20_000_000})
    request = trainer_pb2.StartRunRequest(config=config)
    return _outcome(lambda: target.stub.StartRun(request, metadata=target.mine, timeout=60))


def astronomical_evaluation(target: Target) -> str:
    asked = (
        trainer_pb2.EvaluateRequest(settings={"n": 3_000_000}),
        trainer_pb2.EvaluateRequest(atom_counts={"choices": [1] * 5_000_000}),
    )
    return ", ".join(
        _outcome(partial(target.stub.Evaluate, one, metadata=target.mine, timeout=60)) for one in asked
    )


ATTACKS: dict[str, tuple[str, Attack]] = {
    "packed_without_a_token": ("oracle_svc", packed_without_a_token),
    "packed_with_a_token": ("oracle_svc", packed_with_a_token),
    "packed_lists_let_in": ("oracle_svc", packed_lists_let_in),
    "millions_of_fields": ("oracle_svc", millions_of_fields),
    "silent_streams": ("oracle_svc", silent_streams),
    "unknown_settings": ("oracle_svc", unknown_settings),
    "known_structures": ("oracle_svc", known_structures),
    "patience": ("oracle_svc", patience),
    "full_batches": ("oracle_svc", full_batches),
    "million_tensors": ("generator_svc", million_tensors),
    "junk_weights": ("generator_svc", junk_weights),
    "decode_and_encode": ("generator_svc", decode_and_encode),
    "long_sampling": ("generator_svc", long_sampling),
    "odd_shapes": ("generator_svc", odd_shapes),
    "astronomical_run": ("trainer_svc", astronomical_run),
    "astronomical_evaluation": ("trainer_svc", astronomical_evaluation),
}
"""Each with the service that it is for."""


def _describe(target: Target) -> generator_pb2.GeneratorServiceDescribeResponse:
    asked = generator_pb2.GeneratorServiceDescribeRequest()
    answer: generator_pb2.GeneratorServiceDescribeResponse
    answer = target.stub.Describe(asked, metadata=target.mine, timeout=30)
    return answer


def _header(target: Target) -> generator_pb2.WeightsHeader:
    return generator_pb2.WeightsHeader(
        kind=generator_pb2.WEIGHTS_KIND_FULL,
        policy_version="attack/1",
        bundle_digest=_describe(target).bundle_digest,
    )


def _salt(count: int) -> crystal_pb2.CrystalBatch:
    """Rock salt in cells of 8 atoms, each of another size."""
    fcc = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return batch_to_proto(
        CrystalBatch.from_crystals(
            Crystal(
                lattice=np.eye(3) * (5.6 + 1e-4 * number),
                numbers=np.array([11] * 4 + [17] * 4, dtype=np.int32),
                frac_coords=np.concatenate([fcc, fcc + 0.5]),
            )
            for number in range(count)
        )
    )


if __name__ == "__main__":
    sys.exit(main())
