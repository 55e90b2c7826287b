#!/usr/bin/env bash
# Regenerates xenolith/v1 from protos/xenolith/v1, after linting the contract.
#
#   protos/generate.sh          write the stubs
#   protos/generate.sh --check  write nothing; fail if the committed stubs differ from what would be written
#
# The tools live in a virtual environment of their own (build/protos, made on first use): stubs refuse a runtime older
# than the tool that wrote them, so the tool is the oldest whose stubs load under protobuf 6 and 7, and its own
# dependencies must not hold back those of the project.
set -euo pipefail
cd "$(dirname "$0")/.."

GRPCIO_TOOLS=1.72.1
BUF=1.75.0
venv=build/protos

if [[ "$(cat "$venv/versions" 2>/dev/null || true)" != "$GRPCIO_TOOLS $BUF" ]]; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "grpcio-tools==$GRPCIO_TOOLS" "buf-bin==$BUF"
    echo "$GRPCIO_TOOLS $BUF" >"$venv/versions"
fi

(cd protos && "../$venv/bin/buf" lint)

out=.
if [[ "${1:-}" == "--check" ]]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi

"$venv/bin/python" -m grpc_tools.protoc -I protos \
    --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" protos/xenolith/v1/*.proto

if [[ "$out" != . ]]; then
    for file in "$out"/xenolith/v1/*; do
        if ! cmp --quiet "$file" "xenolith/v1/$(basename "$file")"; then
            echo "xenolith/v1/$(basename "$file") is not what the contract generates: run 'make protos' and commit" >&2
            failed=1
        fi
    done
    for file in xenolith/v1/*_pb2*; do
        if [[ ! -e "$out/$file" ]]; then
            echo "$file belongs to no file of the contract: delete it" >&2
            failed=1
        fi
    done
    exit "${failed:-0}"
fi
