#!/bin/sh
# A small systemd-run for lab hosts, installed there as /usr/local/sbin/systemd-run: starts a transient unit by the systemctl beside it.
# Understood: --unit=NAME, --setenv=NAME=VALUE (no spaces in the value), --collect, --quiet; then the command.
set -eu
unit=run-$$
environment=''
while [ $# -gt 0 ]; do
  case $1 in
    --unit=*) unit=${1#*=} ;;
    --setenv=*) environment="$environment Environment=${1#*=}" ;;
    --collect | --quiet) ;;
    --) shift; break ;;
    -*) printf 'systemd-run: this one does not know %s\n' "$1" >&2; exit 1 ;;
    *) break ;;
  esac
  shift
done
file=/run/systemd/system/$unit.service
[ ! -e "$file" ] || { printf 'systemd-run: unit %s.service was already loaded\n' "$unit" >&2; exit 1; }
mkdir -p "${file%/*}"
{
  printf '[Service]\nType=exec\n'
  for line in $environment; do printf '%s\n' "$line"; done
  printf 'ExecStart=%s\nExecStopPost=/bin/rm -f %s\n' "$*" "$file"
} >"$file"
exec /usr/local/sbin/systemctl start "$unit"
