"""Elements of decoded atoms under a condition: those of the composition exactly, or of the system alone."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from generator_svc.networks.conditions import Conditions
from generator_svc.networks.ragged import Ragged

__all__ = ["choose_elements"]


def choose_elements(logits: Tensor, ragged: Ragged, conditions: Conditions | None) -> Tensor:
    """Atomic numbers (T,) of the most likely elements that the conditions allow.

    Under a composition, the atoms of a structure share its elements out by the assignment of largest
    probability, so that each element is there as often as was asked for. Under a chemical system, every atom
    takes its most likely element of the system. Otherwise, its most likely element.

    Parameters
    ----------
    logits
        (T, Z) of the elements 1 to Z.
    ragged
        Layout of the atoms.
    conditions
        Of the B structures; None: none.
    """
    if conditions is None:
        return logits.argmax(dim=-1) + 1
    allowed = ragged.expand(conditions.chemical_system)
    outside = (allowed == 0) & (allowed.sum(dim=1, keepdim=True) > 0)
    numbers = logits.masked_fill(outside, -torch.inf).argmax(dim=-1) + 1
    exact = conditions.carried[:, 0].nonzero().flatten().tolist()
    if not exact:
        return numbers
    cost = -logits.double().log_softmax(dim=-1).cpu().numpy()
    counts = ragged.num_atoms.tolist()
    ends = np.cumsum(counts)
    for row in exact:
        atoms = slice(int(ends[row]) - counts[row], int(ends[row]))
        whole = (conditions.composition[row] * counts[row]).round().long().cpu()
        slots = torch.arange(1, len(whole) + 1).repeat_interleave(whole).numpy()
        if len(slots) != counts[row]:
            raise ValueError(
                f"structure {row}: {counts[row]} atoms do not hold its composition in whole atoms"
            )
        _, column = linear_sum_assignment(cost[atoms][:, slots - 1])
        numbers[atoms] = torch.from_numpy(slots[column]).to(numbers)
    return numbers
