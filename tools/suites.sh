#!/usr/bin/env bash
# Runs the suite of nats.py or of nats.rs (async-nats), from a checkout of it that you have,
# against nats-server and against our broker behind a launcher named nats-server; prints how many
# tests pass with each and which pass there and not here.
#
#   tools/suites.sh CHECKOUT [-- ARGUMENTS]
#   ARGUMENTS     for nats.py pytest's, for nats.rs the names of its test binaries
#   LAUNCHER      our stand-in for nats-server: takes its arguments, prints its readiness
#                 (default: the example nats-server of the crate, built now)
#   ONLY          theirs | ours: run one of both; the other's list of an earlier run is kept
#   RESULTS       where the lists go (default: target/suites)
#   TRIES         how often a test may fail, with either server (default: 2): many have a
#                 deadline of their own that a busy machine misses
#   RIVAL         the nats-server to compare with (default: the one in PATH)
#
# The suites' ports are fixed (4222, 8222 and more): as root each test has a network namespace
# of its own and some run at once (PARALLEL), otherwise the ports must be free.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { sed -n '2,18p' "$0" | cut -c3-; exit 2; }
checkout=$(cd "$1" && pwd)
shift
[ "${1:-}" != -- ] || shift
results=${RESULTS:-target/suites}
rival=${RIVAL:-$(command -v nats-server || true)}
mkdir -p "$results"
results=$(cd "$results" && pwd)
if [ -d "$checkout/async-nats/tests" ]; then
    kind=nats.rs
elif [ -d "$checkout/nats/tests" ]; then
    kind=nats.py
else
    echo "$checkout is no checkout of nats.py or nats.rs" >&2
    exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=$PWD/.tools/suites/bin/python
prepare_python() {
    if ! "$python" -c 'import pytest, pytest_asyncio, nkeys, aiohttp' 2>/dev/null; then
        python3 -m venv .tools/suites
        "$python" -m pip install -q --disable-pip-version-check \
            pytest pytest-asyncio nkeys aiohttp
    fi
}

# Builds the test binaries; their paths go to $work/binaries. The tests find their servers'
# configuration by the directory that they run in: a copy without `strict`, which nats-server 2.9
# does not know.
prepare_rust() {
    local names=("$@")
    [ $# -gt 0 ] || names=(client_tests nkey_tests tls_tests service_tests server_pool_tests
        jetstream_tests kv_tests object_store)
    (cd "$checkout" && cargo test -q -p async-nats --no-run --message-format=json \
        "${names[@]/#/--test=}") | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' >"$work/binaries"
    mkdir -p "$work/async-nats/tests"
    cp -r "$checkout/async-nats/tests/configs" "$work/async-nats/tests/"
    sed -i '/^ *strict: true,$/d' "$work/async-nats/tests/configs/"*.conf
}

# A directory whose nats-server is the command given.
launcher() {
    mkdir -p "$work/$1"
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$work/$1/nats-server"
    chmod +x "$work/$1/nats-server"
}

# One test in a process of its own: a test that hangs takes nothing along but the servers that
# it started.
one_rust() {
    local name=$1 binary=${2%% *} test=${2#* }
    local full=$(basename "$binary")
    full=${full%-*}::$test
    cd "$work/async-nats"
    if PATH=$work/$name:$PATH "$alone" timeout -k 2 "$patience" "$binary" --exact "$test" \
        >"$results/$name/$full.log" 2>&1; then
        echo "passed $full"
    else
        echo "failed $full"
    fi
}

# The suite prefers ~/nats-server/nats-server to PATH, hence a HOME without one.
one_python() {
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

attempt() {
    local outcome
    for _ in $(seq "$tries"); do
        outcome=$("$one" "$@")
        [ "${outcome%% *}" = failed ] || break
    done
    echo "$outcome"
}

run() {
    local name=$1
    shift
    rm -rf "${results:?}/$name"
    mkdir -p "$results/$name"
    collect "$@" | xargs -P "$parallel" -I{} bash -c 'attempt "$@"' "$0" "$name" {} \
        >"$results/$name/outcome"
    for outcome in passed failed skipped; do
        sed -n "s/^$outcome //p" "$results/$name/outcome" | sort >"$results/$name.$outcome"
    done
}

collect() {
    if [ $kind = nats.rs ]; then
        while read -r binary; do
            "$binary" --list 2>/dev/null | sed -n "s|^\(.*\): test\$|$binary \1|p"
        done <"$work/binaries"
        return
    fi
    (cd "$checkout" && PYTHONPATH=$checkout/nats/src "$python" -m pytest --collect-only -q \
        -p no:cacheprovider "$@") | grep ::
}

patience=130 parallel=1 tries=${TRIES:-2} alone=$work/alone
printf '#!/bin/sh\nexec "$@"\n' >"$alone"
if [ "$(id -u)" -eq 0 ] && unshare -n true 2>/dev/null; then
    parallel=${PARALLEL:-$(nproc)}
    printf '%s\n' '#!/bin/sh' 'exec unshare -n -p --fork --kill-child --mount-proc \' \
        '    sh -c "ip link set lo up && exec \"\$@\"" sh "$@"' >"$alone"
fi
chmod +x "$alone"
case $kind in
nats.py) one=one_python && prepare_python ;;
nats.rs) one=one_rust && prepare_rust "$@" ;;
esac
export -f attempt one_python one_rust
export one tries results checkout work python patience alone

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

printf '%-28s %8s %8s\n' "$kind, tests passed" "theirs" "ours"
case $kind in
nats.py)
    area "core" 'test_(client(_async_await|_nkeys|_v2)?|custom_headers|micro_service|nuid|parser)\.py'
    area "WebSocket" 'test_client_websocket\.py'
    area "JetStream" 'test_js\.py'
    ;;
nats.rs)
    area "core" '^(client|nkey|tls|service|server_pool)_tests::'
    area "JetStream" '^jetstream_tests::'
    area "key-value" '^kv_tests::'
    area "object store" '^object_store::'
    ;;
esac
area "all" .
echo
echo "pass with $("${rival:-true}" --version 2>/dev/null || echo nats-server) and not here:"
comm -23 "$results/theirs.passed" "$results/ours.passed"
