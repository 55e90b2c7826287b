#!/usr/bin/env bash
# Resolves constraints.txt anew from pyproject.toml: scripts/lock.sh VENV   (VENV is one made by scripts/install.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
# torch is held: a run continues bit for bit only under the version that began it.
printf 'torch==2.13.0\n' >"$pins"
links=${PIP_FIND_LINKS:-$("$venv/bin/pip" config get global.find-links 2>/dev/null || true)}
{
  echo "# Every version Xenolith is tested with; written by \`make lock\`. Use: pip install -c constraints.txt -e '.[dev]'"
  echo "uv==$("$venv/bin/uv" --version | cut -d' ' -f2)"
  "$venv/bin/uv" pip compile --quiet --python-version 3.11 --python "$venv/bin/python" --no-header --no-annotate --extra dev \
    -c "$pins" ${links:+--find-links "$links"} pyproject.toml | grep -E '^[a-zA-Z0-9_.-]+==' | sed 's/+cpu$//'
} >constraints.txt
