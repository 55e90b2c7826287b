"""The contract, generated from ``protos/xenolith/v1`` by ``protos/generate.sh``; do not edit its modules by hand."""
