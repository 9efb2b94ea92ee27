#!/usr/bin/env bash
# Make .venv with the versions that the tests ran on. Arguments: extras of setup.py, such as "test".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "setup: $*" >&2; exit 2; }
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$PYTHON isn't Python 3.10 or newer; name one that is: PYTHON=python3.12 bash script/setup.sh"

extras=${1:+[$1]}
stamp=.venv/.xllm$extras
if [ -f "$stamp" ] && [ "$stamp" -nt setup.py ] && [ "$stamp" -nt constraints.txt ]; then exit 0; fi

if [ ! -x .venv/bin/python3 ]; then
    "$PYTHON" -m venv .venv || { rm -rf .venv; "$PYTHON" -m virtualenv .venv; } ||
        fail "$PYTHON can't make a virtual environment; install python3-venv or virtualenv"
fi
# the name of this distribution before it was xllm-toolkit; left there, it would claim the same files
.venv/bin/python3 -m pip uninstall --yes -qq xllm
rm -rf xllm.egg-info
echo "+ .venv/bin/python3 -m pip install -c constraints.txt -e .$extras" >&2
.venv/bin/python3 -m pip install --quiet -c constraints.txt -e ".$extras" >&2
touch "$stamp"
