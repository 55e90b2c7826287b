#!/usr/bin/env bash
# Installs Xenolith, editable, with the versions of constraints.txt into a virtual environment.
#   scripts/install.sh VENV EXTRAS        e.g. scripts/install.sh .venv generator,oracle,trainer
# PYTHON picks the interpreter. TORCH_INDEX names a further package index for PyTorch; unset, a Linux machine without
# an NVIDIA driver takes PyTorch's own CPU index where it can be reached, which saves 3 GB of CUDA libraries.
# TORCH_INDEX= (empty) keeps to the usual index.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 extras=$2

die() { printf 'install: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
  done
  die "Python 3.11 or newer is needed; name yours with PYTHON=/path/to/python3.11"
}

# What the user told pip holds for uv too: where wheels lie on this machine, and which index stands for PyPI.
pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  echo "${!variable:-$("$venv/bin/pip" config get "global.$1" 2>/dev/null || true)}"
}

if ! [ -x "$venv/bin/pip" ]; then
  python=$(find_python)
  "$python" -m venv "$venv" || die "$python cannot make a virtual environment (on Debian and Ubuntu: apt-get install python3-venv)"
fi

# The CPU index, if it would help: not where a GPU is, nor where a wheel of PyTorch lies ready on this machine.
cpu_index() {
  local index=https://download.pytorch.org/whl/cpu folder
  [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null || return 0
  for folder in $links; do compgen -G "$folder/torch-*.whl" >/dev/null && return 0; done
  "$venv/bin/python" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1] + "/torch/", timeout=5)' $index 2>/dev/null \
    && echo $index || true
}

constraint() { grep -E "^$1==" constraints.txt; }
pip=("$venv/bin/pip" --disable-pip-version-check install --quiet)
links=$(pip_setting find-links)
index=$(pip_setting index-url)
compgen -G 'wheels/*.whl' >/dev/null && links="$links $PWD/wheels"
TORCH_INDEX=${TORCH_INDEX-$(cpu_index)}

if "${pip[@]}" "$(constraint uv)"; then
  # Best match over all indexes, as pip does it: TORCH_INDEX carries old versions of some common packages.
  export UV_INDEX_STRATEGY=unsafe-best-match
  export UV_FIND_LINKS=$(xargs <<<"$links" | tr ' ' ',')
  [ -z "$UV_FIND_LINKS" ] && unset UV_FIND_LINKS
  [ -n "$index" ] && export UV_DEFAULT_INDEX=$index
  VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --compile-bytecode -c constraints.txt -e ".[$extras]" \
    ${TORCH_INDEX:+--index "$TORCH_INDEX"}
else
  echo "install: uv cannot be had here, going on with pip (slower)" >&2
  "${pip[@]}" -c constraints.txt -e ".[$extras]" ${links:+--find-links "$links"} \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}
fi
