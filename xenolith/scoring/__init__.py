"""Scoring many structures: in pieces with partial results, as tables, as a page to look at."""

from xenolith.scoring.page import write_page
from xenolith.scoring.pieces import score_in_pieces
from xenolith.scoring.tables import TABLE_SUFFIXES, table_rows, write_table

__all__ = ["TABLE_SUFFIXES", "score_in_pieces", "table_rows", "write_page", "write_table"]
