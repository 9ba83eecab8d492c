#!/bin/sh
# Create .venv and install everything into it: setup.sh PYTHON serve|test
# All missing system packages are installed at once if we are root on Debian or Ubuntu, and reported at
# once otherwise.
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

# Scripts that pip writes to .venv/bin contain its path, so a moved checkout needs a new .venv.
made=$(sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null || true)
case "$made" in
    "" | "$here/.venv") ;;
    *) echo "this checkout was moved (.venv was created as $made)" && rm -rf .venv ;;
esac

need() { # need PACKAGE REASON: without it there is no set-up
    missing="$missing $1"
    reasons="$reasons
  $1: $2"
}
wish() { # wish PACKAGE WHAT: without it, which not every system has, only WHAT is the case
    wishes="$wishes $1"
    without="${without}without $1, $2
"
}
tool() { # tool COMMAND PACKAGE REASON
    command -v "$1" >/dev/null || need "$2" "$3"
}
file() { # file PATH PACKAGE REASON
    [ -e "$1" ] || need "$2" "$3"
}
collect() { # list the packages that are missing now
    missing="" reasons="" wishes="" without=""
    if ! command -v "$python" >/dev/null; then
        need python3 "there is no $python"
        need python3-venv "Python creates a virtual environment"
        need libpython3-dev "Triton's Python backend needs Python's shared library"
    else
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        case "$version" in
            3.11 | 3.12) ;;
            *) echo "Python 3.11 or 3.12 is needed, $python is $version; use: make PYTHON=python3.11 ..." >&2; exit 1 ;;
        esac
        [ -x .venv/bin/python ] || "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            need "python$version-venv" "$python can't create virtual environments"
        # The Python backend's stub is linked to Python's shared library, which Debian packages separately.
        PYTHONPATH=. "$python" -B -c 'from aurum.server.runtime import find_libpython; find_libpython()' 2>/dev/null ||
            need "libpython$version" "Triton's Python backend needs Python's shared library"
    fi
    tool g++ g++ "Triton's ONNX Runtime backend must be compiled"
    file /usr/include/nlohmann/json.hpp nlohmann-json3-dev "the backend reads Triton's JSON"
    [ "$purpose" = test ] || return 0
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
    file /usr/sbin/nginx nginx "the gateway is nginx" # may be only on root's PATH
    file /usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so rsyslog-elasticsearch "logs are shipped by rsyslog"
    # Some releases of Ubuntu don't have the module, and Ubuntu has the browser only as a snap.
    [ -e /usr/lib/nginx/modules/ngx_http_js_module.so ] ||
        wish libnginx-mod-http-js "the tests of the gateway are skipped"
    command -v google-chrome >/dev/null || command -v chromium >/dev/null ||
        wish chromium "the tests of the playground's page are skipped"
}
installs() { # whether we may install packages
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

collect
if installs && [ -n "$missing$wishes" ]; then
    echo "installing system packages:$missing$wishes"
    apt-get update -qq || true # the installation below says what is wrong
    # shellcheck disable=SC2086
    [ -z "$missing" ] || scripts/apt_install.sh $missing || exit $?
    for package in $wishes; do scripts/apt_install.sh "$package" || true; done
    collect
fi
printf %s "$without" >&2
if [ -n "$missing" ]; then
    echo "please install these packages, on Debian or Ubuntu: sudo apt-get install$missing$reasons" >&2
    exit 1
fi

[ "$purpose" = test ] && steps=5 || steps=4
number=0
step() { # step WHAT: the next of the steps, most of which take a minute or more
    number=$((number + 1))
    echo "$number/$steps $1"
}
progress() { # progress TOTAL: turn pip's output into the number of the package, in one line on a terminal
    count=0
    while read -r first second third; do
        case "$first $second" in
            Collecting\ * | Processing\ * | Requirement\ already) count=$((count + 1)) && now="$count of $1" ;;
            Downloading\ *) now="$count of $1: ${second##*/} $third" ;;
            Installing\ *) now="unpacking them" ;;
            *) continue ;;
        esac
        if [ -t 1 ]; then
            printf '\r\033[K    %.75s' "$now"
        elif [ "$first" = Installing ] || { [ "$first" != Downloading ] && [ $((count % 25)) = 0 ]; }; then
            echo "    $now"
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

if [ -x .venv/bin/python ]; then
    step "keeping .venv"
else
    step "creating .venv (Python $version)"
    "$python" -m venv .venv || { rm -rf .venv && exit 1; }
fi

# Only the packages in locks/, each file with its hash; then our own, without dependencies.
packages=$(grep -c '^[A-Za-z0-9].*==' "locks/$purpose.txt")
step "installing $packages Python packages"
pip=".venv/bin/python -m pip --disable-pip-version-check"
# The output goes to `progress`, the status through another descriptor.
exec 4>&1
status=$({
    {
        $pip install --require-hashes --no-deps --requirement "locks/$purpose.txt" && echo 0 >&3 || echo $? >&3
    } | progress "$packages" >&4
} 3>&1)
exec 4>&-
[ "$status" = 0 ] || exit "$status"
$pip install --quiet --no-deps --no-build-isolation --editable client/python --editable .
install -m 755 scripts/aurum .venv/bin/aurum # replaces pip's script; see there

step "compiling Triton's ONNX Runtime backend"
backends/onnxruntime/build.sh "$(.venv/bin/python -c 'from aurum.server.runtime import onnxruntime_library; print(onnxruntime_library())')"
step "compiling the kernels"
backends/ops/build.sh library

if [ "$purpose" = test ]; then
    step "installing the packages of the Node client"
    # Without install scripts: the packages contain the libraries, and nothing else is needed.
    (cd client/node && PATH="$OLDPWD/.venv/bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
fi
