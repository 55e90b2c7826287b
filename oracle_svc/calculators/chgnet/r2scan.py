"""CHGNet fine-tuned on r2SCAN: a second opinion, with the weights of the `chgnet` package.

Source: X. Huang et al., "Cross-functional transferability in foundation machine learning interatomic
potentials", npj Computational Materials (2025). It began from the weights of CHGNet 0.3.0 and was trained
further on MP-r2SCAN, another functional and another set of calculations; it is a cousin of 0.3.0, not a
stranger to it.
"""

from __future__ import annotations

from oracle_svc.calculators.base import digest_of
from oracle_svc.calculators.chgnet.calculator import ChgnetCalculator

__all__ = ["ChgnetR2scanCalculator"]

_CHECKPOINT = "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar"
_CHECKPOINT_SHA256 = "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad"
_NOT_IN_ITS_DATA = frozenset({70})  # ytterbium: the checkpoint has no atomic energy for it


class ChgnetR2scanCalculator(ChgnetCalculator):
    """CHGNet with the r2SCAN weights; parameters and errors as `ChgnetCalculator`."""

    id = "chgnet-r2scan"
    scheme = "r2SCAN, uncorrected"
    elements = ChgnetCalculator.elements - _NOT_IN_ITS_DATA
    settings_digest = digest_of({"id": "chgnet", "version": "r2scan", "weights": _CHECKPOINT_SHA256})
    checkpoint = (_CHECKPOINT, _CHECKPOINT_SHA256)
