"""Commands of the oracle: score, audit, references, operations, conformance."""
