#!/usr/bin/env bash
# Long counts in full. Usage: tools/soak.sh SCHEDULES
set -euo pipefail
cd "$(dirname "$0")/.."
echo "commit $(git rev-parse --short HEAD), $(date -u +%F), $(nproc) cores"
MORGANA_SCHEDULES=$1 cargo test --release -p morgana-api schedules -- --nocapture
PROPTEST_CASES=${CASES:-20000} cargo test --release -p morgana-maze
MORGANA_SESSIONS=${SESSIONS:-20000} cargo test --release -p morgana-bus --test differential -- --nocapture
MORGANA_KILLS=${KILLS:-500} MORGANA_OUTAGE_SECONDS=${OUTAGE_SECONDS:-60} \
    cargo test --release -p morgana --test it events:: -- --nocapture --test-threads 2
MORGANA_OPS=${OPS:-10000} MORGANA_SEED=${SEED:-1} \
    cargo test --release -p morgana --test it operations:: -- --nocapture
MORGANA_KILLS=${MAZE_KILLS:-2000} MORGANA_SEED=${SEED:-1} \
    cargo test --release -p morgana --features crash-points --test it kills:: -- --nocapture
MORGANA_ROUNDS=${ROUNDS:-1000} MORGANA_SEED=${SEED:-1} \
    cargo test --release -p morgana-bus --lib --test bus nothing_acknowledged -- --nocapture
tools/fuzz.sh "${FUZZ_SECONDS:-60}"
