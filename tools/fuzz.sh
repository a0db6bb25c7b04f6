#!/usr/bin/env bash
# Every fuzz target for a while. Usage: tools/fuzz.sh SECONDS_PER_TARGET [SEED]
# Each command that fails prints how to repeat it; the rest still run.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
seed=${2:-$(date +%s)}
cargo build --release -p morgana-fuzz
failed=0
for target in $(ls fuzz/corpus); do
    cargo run --release -q -p morgana-fuzz -- "$target" --seconds "$seconds" --seed "$seed" || failed=1
done
exit $failed
