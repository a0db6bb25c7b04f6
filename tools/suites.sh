#!/usr/bin/env bash
# Runs the suite of nats.py, from a checkout of it that you have, against nats-server and against
# our broker behind a launcher named nats-server; prints how many tests pass with each and which
# pass there and not here.
#
#   tools/suites.sh CHECKOUT [-- PYTEST ARGUMENTS]
#   LAUNCHER      our stand-in for nats-server: takes its arguments, prints its readiness
#                 (default: the example nats-server of the crate, built now)
#   ONLY          theirs | ours: run one of both; the other's list of an earlier run is kept
#   RESULTS       where the lists go (default: target/suites)
#   RIVAL         the nats-server to compare with (default: the one in PATH)
#
# The suite's ports are fixed (4222, 8222 and more): as root each test has a network namespace
# of its own and some run at once (PARALLEL), otherwise the ports must be free.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { sed -n '2,15p' "$0" | cut -c3-; exit 2; }
checkout=$(cd "$1" && pwd)
shift
[ "${1:-}" != -- ] || shift
results=${RESULTS:-target/suites}
rival=${RIVAL:-$(command -v nats-server || true)}
mkdir -p "$results"
results=$(cd "$results" && pwd)
tests=$checkout/nats/tests
[ -d "$tests" ] || { echo "$checkout is no checkout of nats.py: it has no nats/tests" >&2; exit 2; }

python=$PWD/.tools/suites/bin/python
if ! "$python" -c 'import pytest, pytest_asyncio, nkeys, aiohttp' 2>/dev/null; then
    python3 -m venv .tools/suites
    "$python" -m pip install -q --disable-pip-version-check \
        pytest pytest-asyncio nkeys aiohttp
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A directory whose nats-server is the command given.
launcher() {
    mkdir -p "$work/$1"
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$work/$1/nats-server"
    chmod +x "$work/$1/nats-server"
}

# One test in a process of its own: a test that hangs takes nothing along but the servers that
# it started. The suite prefers ~/nats-server/nats-server to PATH, hence a HOME without one.
one() {
    local name=$1 test=$2
    local log="$results/$name/${test//\//_}.log"
    cd "$checkout"
    if HOME=$work PATH=$work/$name:$PATH PYTHONPATH=$checkout/nats/src \
        "$alone" timeout -k 2 "$patience" "$python" -m pytest -q -rs -p no:cacheprovider \
        --tb=short "$test" >"$log" 2>&1; then
        grep -q '^SKIPPED' "$log" && echo "skipped $test" || echo "passed $test"
    else
        echo "failed $test"
    fi
}

run() {
    local name=$1
    shift
    rm -rf "${results:?}/$name"
    mkdir -p "$results/$name"
    collect "$@" | xargs -P "$parallel" -I{} bash -c 'one "$@"' one "$name" {} >"$results/$name/outcome"
    for outcome in passed failed skipped; do
        sed -n "s/^$outcome //p" "$results/$name/outcome" | sort >"$results/$name.$outcome"
    done
}

collect() {
    (cd "$checkout" && PYTHONPATH=$checkout/nats/src "$python" -m pytest --collect-only -q \
        -p no:cacheprovider "$@") | grep ::
}

patience=90 parallel=1 alone=$work/alone
printf '#!/bin/sh\nexec "$@"\n' >"$alone"
if [ "$(id -u)" -eq 0 ] && unshare -n true 2>/dev/null; then
    parallel=${PARALLEL:-$(nproc)}
    printf '%s\n' '#!/bin/sh' 'exec unshare -n -p --fork --kill-child --mount-proc \' \
        '    sh -c "ip link set lo up && exec \"\$@\"" sh "$@"' >"$alone"
fi
chmod +x "$alone"
export -f one
export results checkout work python patience alone

count() { grep -cE "$2" "$results/$1" || true; }

area() {
    printf '%-28s %8s %8s\n' "$1" "$(count theirs.passed "$2")" "$(count ours.passed "$2")"
}

if [ "${ONLY:-theirs}" = theirs ]; then
    [ -n "$rival" ] || { echo "there is no nats-server in PATH" >&2; exit 2; }
    launcher theirs "$rival"
    run theirs "$@"
fi
if [ "${ONLY:-ours}" = ours ]; then
    if [ -z "${LAUNCHER:-}" ]; then
        cargo build -q --release -p morgana-bus --features tls --example nats-server
        LAUNCHER=${CARGO_TARGET_DIR:-$PWD/target}/release/examples/nats-server
    fi
    launcher ours "$LAUNCHER"
    run ours "$@"
fi
touch "$results"/{theirs,ours}.{passed,failed,skipped}

printf '%-28s %8s %8s\n' "nats.py, tests passed" "theirs" "ours"
area "core" 'test_(client|client_async_await|client_nkeys|client_v2|custom_headers|micro_service|nuid|parser)[a-z_]*\.py'
area "JetStream" 'test_js\.py'
area "all" .
echo
echo "pass with $("${rival:-true}" --version 2>/dev/null || echo nats-server) and not here:"
comm -23 "$results/theirs.passed" "$results/ours.passed"
