#!/bin/sh
# Write bills of materials (CycloneDX) of everything that is installed: `make sbom`.
set -eu
cd "$(dirname "$0")/.."
tool=.aurum/sbom-tool # outside .venv, so that nothing that we ship depends on it
to=.aurum/sbom
mkdir -p "$to"
if [ ! -x "$tool/bin/cyclonedx-py" ]; then
    .venv/bin/python -m venv "$tool"
    "$tool/bin/python" -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
fi
for purpose in serve test image bulk; do
    "$tool/bin/python" -m cyclonedx_py requirements --output-reproducible \
        --output-file "$to/python-$purpose.cdx.json" "locks/$purpose.txt"
done
.venv/bin/python scripts/bundled.py --cyclonedx "$to/bundled.cdx.json"
(cd client/node && PATH="$OLDPWD/.venv/bin:$PATH" npm sbom --package-lock-only --sbom-format cyclonedx) \
    >"$to/node.cdx.json"
echo "written to $to:" "$to"/*.json
