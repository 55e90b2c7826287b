"""Auditing scores: what a second calculator says of the structures that the first one praised."""

from xenolith.audit.comparison import AuditReport, Opinion, compare, opinions_of
from xenolith.audit.picture import picture

__all__ = ["AuditReport", "Opinion", "compare", "opinions_of", "picture"]
