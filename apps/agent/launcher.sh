#!/bin/sh
# Starts the agent with the Node runtime that came with it, or else the machine's own (20.19 or newer).
set -eu
self=$(readlink -f -- "$0")
home=$(dirname -- "$(dirname -- "$self")")
if [ -x "$home/node/bin/node" ]; then
  node=$home/node/bin/node
elif node=$(command -v node); then
  :
else
  echo "trigon-agent: no Node runtime in $home/node and none on the PATH" >&2
  exit 127
fi
# The agent's heap may grow a little before it is first collected: a large plan is taken in without (decisions/001-rehearsal.md). A real server's
# plans are small, and a Node that does not know the option says so at once: they do without.
options=--initial-old-space-size=64
enrollment=${TRIGON_STATE:-/var/lib/trigon}/identity/enrollment.json
if [ "${1-}" != run ]; then
  options=
elif [ -r "$enrollment" ]; then
  while read -r line || [ -n "$line" ]; do
    case $line in *'"role":"realServer"'* | *'"role": "realServer"'*) options= ;; esac
  done <"$enrollment"
fi
[ -z "$options" ] || "$node" $options --version >/dev/null 2>&1 || options=
exec "$node" $options "$home/lib/start.cjs" "$@"
