#!/bin/sh
# One round with the clients of other languages, on the server that KUBECONFIG names: `tests/clients/others/run.sh [javascript|java|rust ...]`.
# What a toolchain is missing for is skipped with a word; packages come from the registries of the languages. Nothing is left in the tree.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
: "${KUBECONFIG:?names no server}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# round LANGUAGE PROGRAM COMMAND
round() {
    if ! command -v "$2" >/dev/null; then echo "$1: skipped, as there is no $2"; return; fi
    cp -R "$here/$1" "$work/$1"
    if (cd "$work/$1" && sh -c "$3"); then echo "$1: passed"; else echo "$1: failed"; failed=1; fi
}

for language in ${*:-javascript java rust}; do
    case $language in
        javascript) round javascript npm 'npm install --silent --no-audit --no-fund >/dev/null && node round.mjs' ;;
        java) round java mvn 'mvn -q -B compile exec:java' ;;
        rust) round rust cargo 'CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target} cargo run --quiet' ;;
        *) echo "no such language: $language"; failed=1 ;;
    esac
done
exit $failed
