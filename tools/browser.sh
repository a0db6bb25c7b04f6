#!/usr/bin/env bash
# Starts the binary on free ports, and lets headless Chromium use the console while curl visits
# a decky. Usage: tools/browser.sh BINARY
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")/../web"
[ -d node_modules/playwright-core ] || npm ci --no-audit --no-fund

work=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || { kill -TERM "$service" 2>/dev/null && wait "$service" || true; }
    rm -rf "$work"
}
trap stop EXIT

# An address range that nobody else on this machine uses: the tests take 127.70 to 127.250.
"$binary" up --demo --data-dir "$work/data" --listen 127.0.0.1:0 \
    --set fleet.loopback_prefix=127.253 >"$work/out" 2>"$work/log" &
service=$!
for _ in $(seq 300); do
    grep -q 'Stop with' "$work/out" && break
    kill -0 "$service" 2>/dev/null || { cat "$work/log"; exit 1; }
    sleep 0.1
done
link=$(grep -o 'http://[^ ]*#setup=[^ ]*' "$work/out")
visit=$(grep -m1 '^ *curl ' "$work/out" | sed 's/ # .*//')
MORGANA_URL=$link MORGANA_VISIT=$visit node e2e/console.mjs || { tail -40 "$work/log"; exit 1; }
