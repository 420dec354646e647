#!/bin/sh
# Fills corpus/ from the recorded cases, so that the fuzzers begin with real rules.
set -eu
cd "$(dirname "$0")"
cases=../tests/fixtures/conformance/kube-proxy
mkdir -p corpus/iptables_save corpus/nft corpus/manifest
for path in "$cases"/*[05]; do
    name=$(basename "$path")
    cp "$path/expected.iptables" "corpus/iptables_save/$name"
    cp "$path/expected.nftables" "corpus/nft/$name"
    cp "$path/cluster.json" "corpus/manifest/$name"
done
