"""The SDK in one file: connect, sample, score, train, watch, convert; then the same with an event loop.

Start a stack in another terminal and run it there:

    xenolith up
    python examples/sdk.py
"""

import argparse
import asyncio
from collections.abc import Sequence

from xenolith import AsyncClient, Client, Crystal, XenolithError
from xenolith.client import Samples, Scores, condition
from xenolith.convert import as_batch, to_ase, to_pymatgen

ROCK_SALT = Crystal(
    lattice=[[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]],  # Angstrom, one vector a row
    numbers=[11, 17],
    frac_coords=[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
)


def run_config(name: str, steps: int) -> dict[str, object]:
    """A run of a few steps on small cells; what is left out takes the trainer's defaults."""
    return {
        "name": name,
        "steps": steps,
        "groups": 2,
        "group_size": 4,
        "atom_counts": {"max": 4},
        "sampler": {"steps": 5},
        "evaluation": {"n": 8, "bootstrap": 100, "atom_counts": {"max": 4}},
    }


def show(samples: Samples, scores: Scores) -> None:
    print(f"{len(samples)} crystals of policy {samples.policy_version[:20]}:")
    for score in scores:
        # A broken structure has a status of its own, and costs its neighbours nothing; None is not measured.
        print(f"  {score.formula}: {score.status}, {score.e_above_hull} eV/atom, novel: {score.novel}")


def convert(crystal: Crystal) -> None:
    """Show the same crystal as pymatgen and ASE have it; both go back in wherever a crystal is taken."""
    structure, atoms = to_pymatgen(crystal), to_ase(crystal)
    back = as_batch([structure, atoms])
    print(f"pymatgen {structure.formula}, ASE {atoms.symbols}, back {back[0].formula}")


def plain(name: str, steps: int, n: int) -> None:
    """Everything with the plain client."""
    with Client() as x:  # the stack on this machine; elsewhere: Client(oracle="host:50052", ...)
        x.wait_ready(60)
        calculators = [calculator.id for calculator in x.oracle.describe().calculators]
        print(f"connected: policy {x.generator.describe().policy_version}, calculators {calculators}")

        samples = x.generator.sample(n=n, num_atoms=2, steps=5, seed=1)
        show(samples, x.oracle.score(samples))
        for crystal in (ROCK_SALT, samples[0]):
            convert(crystal)

        # Scoring takes crystals, pymatgen structures, ASE atoms, files and folders.
        known = x.oracle.score([ROCK_SALT, to_pymatgen(ROCK_SALT), to_ase(ROCK_SALT)])
        print("rock salt:", [round(score.e_above_hull or 0.0, 3) for score in known], known[1].duplicate_of)

        # A calculation of hours: submit it, come back for it from anywhere by its id.
        operation = x.oracle.submit_score([ROCK_SALT])
        print(operation.wait()[0].formula, operation.state)

        run = x.trainer.start_run(run_config(name, steps))
        for event in x.trainer.watch_run(run.name):  # past events first, until the run ends
            if event.kind == "step":
                print(f"step {event.proto.step.step}: reward {event.proto.step.reward_mean:.3f}")
        run = x.trainer.get_run(name)
        print(f"run {name}: {run.state} after {run.steps_done} of {run.steps_total} steps")

        version = x.trainer.publish_policy(name)
        tuned = x.generator.sample(n=n, num_atoms=2, steps=5, seed=1, expected_policy_version=version)
        print(f"{len(tuned)} crystals of policy {tuned.policy_version[:20]}")

        try:  # every error is a XenolithError that says what to do
            x.generator.sample(n=1, conditions=condition(composition="Xx2"))
        except XenolithError as error:
            print(f"{type(error).__name__}: {error}")


async def with_event_loop(name: str, n: int) -> None:
    """The same calls, awaited; several at once."""
    async with AsyncClient() as x:
        drawn = await asyncio.gather(*(x.generator.sample(n=n, num_atoms=2, seed=seed) for seed in (1, 2)))
        judged = await asyncio.gather(*(x.oracle.score(samples) for samples in drawn))
        for samples, scores in zip(drawn, judged, strict=True):
            show(samples, scores)
        async for event in x.trainer.watch_run(name):
            if event.state:
                print(f"run {name}: {event.state}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What the SDK does, in one go.")
    parser.add_argument("--name", default="sdk-example", help="of the run; the same name is the same run")
    parser.add_argument("--steps", type=int, default=3, help="of the run")
    parser.add_argument("-n", type=int, default=4, help="crystals to sample")
    given = parser.parse_args(argv)
    plain(given.name, given.steps, given.n)
    asyncio.run(with_event_loop(given.name, given.n))


if __name__ == "__main__":
    main()
