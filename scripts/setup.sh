#!/bin/sh
# Create .venv and install everything into it: setup.sh PYTHON serve|test
# Missing system packages are installed if we are root on Debian or Ubuntu, and reported otherwise.
set -eu
python=$1
purpose=$2
cd "$(dirname "$0")/.."

here=$(pwd -P) # without symbolic links, as Python sees it
if printf %s "$here" | LC_ALL=C grep -q '[^ -~]'; then
    echo "$here has letters that are not ASCII, and Triton's Python can't run from there: move the checkout" >&2
    exit 1
fi
if ! mkdir -p .aurum 2>/dev/null || ! [ -w . ] || ! [ -w .aurum ]; then
    echo "$here can't be written, but the set-up needs to write there: copy the checkout to a folder where you can write" >&2
    exit 1
fi
# One set-up at a time: a second one would find an incomplete installation. The lock is released when
# this process ends.
exec 9>.aurum/setup.lock
if ! flock -n 9; then
    echo "another set-up runs in this checkout: wait until it is done, then run make again" >&2
    exit 1
fi

need() { # need PACKAGE REASON
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $1 ($2)"
        [ -n "${updated:-}" ] || apt-get update -qq
        updated=1
        scripts/apt_install.sh "$1" || exit $?
    else
        echo "$2: please install $1, on Debian or Ubuntu: sudo apt-get install $1" >&2
        exit 1
    fi
}

command -v "$python" >/dev/null || need python3 "there is no $python"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case "$version" in
    3.11 | 3.12) ;;
    *) echo "Python 3.11 or 3.12 is needed, $python is $version; use: make PYTHON=python3.11 ..." >&2; exit 1 ;;
esac

# Scripts that pip writes to .venv/bin contain its path, so a moved checkout needs a new .venv.
made=$(sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null || true)
case "$made" in
    "" | "$here/.venv") ;;
    *) echo "this checkout was moved (.venv was created as $made)" && rm -rf .venv ;;
esac
if [ ! -x .venv/bin/python ]; then
    echo "creating .venv (Python $version)"
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        rm -rf .venv
        need "python$version-venv" "$python can't create virtual environments"
        "$python" -m venv .venv
    fi
fi

echo "installing packages"
# Only the packages in locks/, each file with its hash; then our own, without dependencies.
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --require-hashes --no-deps --requirement "locks/$purpose.txt"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable client/python --editable .
install -m 755 scripts/aurum .venv/bin/aurum # replaces pip's script; see there

# The Python backend's stub is linked to Python's shared library, which Debian packages separately.
if ! .venv/bin/python -c 'from aurum.server.runtime import find_libpython; find_libpython()' 2>/dev/null; then
    need "libpython$version" "Triton's Python backend needs Python's shared library"
fi

tool() { # tool COMMAND PACKAGE REASON
    command -v "$1" >/dev/null || need "$2" "$3"
}
tool g++ g++ "Triton's ONNX Runtime backend must be compiled"
[ -e /usr/include/nlohmann/json.hpp ] || need nlohmann-json3-dev "the backend reads Triton's JSON"
echo "compiling the ONNX Runtime backend and its operators"
backends/onnxruntime/build.sh "$(.venv/bin/python -c 'from aurum.server.runtime import onnxruntime_library; print(onnxruntime_library())')"
backends/ops/build.sh library

if [ "$purpose" = test ]; then
    tool wrk wrk "the benchmarks load HTTP servers with wrk"
    tool strace strace "the privacy tests trace which files and addresses are used"
    tool redis-server redis-server "the Node client's queue workers are tested with Redis"
    watch="the tests monitor a server with Prometheus"
    tool promtool prometheus "$watch"
    tool amtool prometheus-alertmanager "$watch"
    tool prometheus-blackbox-exporter prometheus-blackbox-exporter "$watch"
    tool prometheus-process-exporter prometheus-process-exporter "$watch"
    tool openssl openssl "the tests create certificates"
    tool kubectl kubernetes-client "the tests build the Kubernetes manifests"
    library() { # library FILE PACKAGE REASON
        [ -e "/usr/lib/$1" ] || need "$2" "$3"
    }
    # nginx may be only on root's PATH, and some releases of Ubuntu don't have the module.
    [ -x /usr/sbin/nginx ] || need nginx "the gateway is nginx"
    (library nginx/modules/ngx_http_js_module.so libnginx-mod-http-js \
        "the gateway checks API keys with nginx's JavaScript module") ||
        echo "no njs: the tests of the gateway will be skipped" >&2
    library x86_64-linux-gnu/rsyslog/omelasticsearch.so rsyslog-elasticsearch \
        "logs are shipped by rsyslog"
    if ! command -v google-chrome >/dev/null; then
        # Ubuntu has it only as a snap.
        (tool chromium chromium "the playground's tests drive a real browser") ||
            echo "no Chromium: the tests of the playground's page will be skipped" >&2
    fi
    echo "installing packages of the Node client"
    # Without install scripts: the packages contain the libraries, and nothing else is needed.
    (cd client/node && PATH="$OLDPWD/.venv/bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund --silent)
fi
