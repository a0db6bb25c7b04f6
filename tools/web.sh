#!/usr/bin/env bash
# The console: types, unit tests, and the committed build against a fresh one.
set -euo pipefail
cd "$(dirname "$0")/../web"

major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$major" -lt 20 ]; then
    echo "skipped: the console's tests need Node 20, here is $(node --version); its committed build is used as it is"
    exit 0
fi
[ -d node_modules ] && [ node_modules -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run check
npm run check:dist
