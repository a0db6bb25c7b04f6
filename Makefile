# Thin: each target is a few commands that also work by hand.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
SCHEDULES ?= 100000
FEATURES = --features morgana/crash-points

.PHONY: run build check test soak bench bench-bus bench-hub bench-maze tools fmt lint doc deny unit web browser console events openapi clean

run: build          ## build, start, deploy the demo maze, say how to attack it
	@./target/release/morgana up --demo $(ARGS)

build:              ## the release binary; nothing but Rust and a C compiler is needed
	$(CARGO) build --release -p morgana

check: fmt lint     ## the inner loop
	$(CARGO) test --workspace --lib --bins -q

test: tools fmt lint doc deny unit web browser ## everything, as CI does

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets $(FEATURES) -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items -q

deny: tools         ## licences, sources, banned crates
	.tools/cargo-deny --offline check bans licenses sources

unit: tools         ## unit, property, integration and end-to-end tests
	$(CARGO) test --workspace $(FEATURES)

web: tools          ## the console's own tests; its committed build against a fresh one
	tools/web.sh

browser: tools      ## the console in headless Chromium against the real binary
	$(CARGO) build -p morgana $(FEATURES)
	tools/browser.sh target/debug/morgana

soak:               ## long counts in full; put the result into docs/soak.md
	tools/soak.sh $(SCHEDULES)

bench:              ## the figures of docs/performance.md
	$(CARGO) bench -p morgana --bench spine

bench-bus:          ## the bus beside nats-server, on a machine that does nothing else
	tools/bench-bus.sh $(ARGS)

bench-maze:         ## deckies on a real segment; needs root
	$(CARGO) bench -p morgana-fleet --bench maze
	$(CARGO) bench -p morgana --bench maze

bench-hub:          ## lifecycle events from the commit to a consumer
	$(CARGO) bench -p morgana --bench hub

tools:              ## what the tests need, from Debian, PyPI and npm
	@tools/setup.sh

console:            ## build the console anew (needs Node 20)
	cd web && npm ci --no-audit --no-fund && npm run build

events:             ## write schemas/ and docs/events.md anew
	UPDATE_EVENTS=1 $(CARGO) test -p morgana-exports --test events documents

openapi:            ## write the OpenAPI document anew, and the console's types from it
	UPDATE_OPENAPI=1 $(CARGO) test -p morgana-api openapi
	cd web && npm run types

clean:
	$(CARGO) clean
	rm -rf .tools web/node_modules
