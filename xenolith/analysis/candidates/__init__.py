"""Candidates for follow-up: examined by every judge at hand, chosen, and written with inputs for DFT."""

from xenolith.analysis.candidates.criteria import Criteria
from xenolith.analysis.candidates.examination import Examination, examine
from xenolith.analysis.candidates.examined import Comparison, Examined
from xenolith.analysis.candidates.folder import write_candidates
from xenolith.analysis.candidates.inputs import write_inputs
from xenolith.analysis.candidates.selection import Selection, select

__all__ = [
    "Comparison",
    "Criteria",
    "Examination",
    "Examined",
    "Selection",
    "examine",
    "select",
    "write_candidates",
    "write_inputs",
]
