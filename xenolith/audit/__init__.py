"""Auditing scores: what a second calculator says of the structures that the first one praised."""

from xenolith.audit.comparison import compare
from xenolith.audit.opinions import Opinion, opinions_of
from xenolith.audit.picture import picture
from xenolith.audit.report import AuditReport

__all__ = ["AuditReport", "Opinion", "compare", "opinions_of", "picture"]
