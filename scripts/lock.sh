#!/usr/bin/env bash
# Resolves constraints.txt, and the pins of environments beside it, anew from pyproject.toml: scripts/lock.sh VENV   (VENV is one made by scripts/install.sh)
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

# Environments of calculators whose libraries clash with these: the same versions where they do not.
"$venv/bin/python" -c '
from oracle_svc.environments import CATALOGUE
for spec in CATALOGUE.values():
    print(spec.name, *spec.requirements)' | while read -r name requirements; do
  apart=oracle_svc/environments/$name.txt
  {
    echo "# Every version of the environment $name; written by \`make lock\`."
    tr ' ' '\n' <<<"$requirements" | "$venv/bin/uv" pip compile --quiet --python-version 3.11 --python "$venv/bin/python" \
      --no-header --no-annotate -c "$pins" ${links:+--find-links "$links"} - | grep -E '^[a-zA-Z0-9_.-]+==' | sed 's/+cpu$//'
  } >"$apart.new"
  mv "$apart.new" "$apart"
done
