"""Scores of many structures: in pieces, as tables and pages, and audited by a second calculator."""

from xenolith.analysis.audit_comparison import compare
from xenolith.analysis.audit_opinions import Opinion, opinions_of
from xenolith.analysis.audit_page import picture
from xenolith.analysis.audit_report import AuditReport
from xenolith.analysis.page import write_page
from xenolith.analysis.pieces import score_in_pieces
from xenolith.analysis.tables import TABLE_SUFFIXES, table_rows, write_table

__all__ = [
    "TABLE_SUFFIXES",
    "AuditReport",
    "Opinion",
    "compare",
    "opinions_of",
    "picture",
    "score_in_pieces",
    "table_rows",
    "write_page",
    "write_table",
]
