#!/bin/sh
# List known vulnerabilities of all pinned packages: `make audit`. Needs the network, and fails if an
# advisory service can't be reached.
set -u
cd "$(dirname "$0")/.."
tool=.aurum/audit # outside .venv, so that nothing that we ship depends on it
status=0
if [ ! -x "$tool/bin/pip-audit" ]; then
    .venv/bin/python -m venv "$tool" && "$tool/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
fi
echo "Python (any advisory fails, because they have no severity)"
"$tool/bin/python" -m pip_audit --requirement locks/test.txt --no-deps --disable-pip --strict \
    --vulnerability-service osv --progress-spinner off || status=1
echo "C libraries inside the wheels that read photos (a version that nobody has reviewed fails)"
.venv/bin/python scripts/bundled.py || status=1
echo "Node (high and critical fail)"
(cd client/node && PATH="$OLDPWD/.venv/bin:$PATH" npm audit --audit-level=high) || status=1
exit $status
