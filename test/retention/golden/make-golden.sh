#!/usr/bin/env bash
# Makes the input of restic.json: a year of snapshots in a restic repository, and what restic would keep of them.
# Usage: make-golden.sh EMPTY_DIRECTORY. Takes some minutes; needs restic. The times are those of restic.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
export RESTIC_REPOSITORY=$PWD/repository RESTIC_PASSWORD=golden TZ=UTC
restic init -q
echo content >file
node -e 'console.log(require(process.argv[1]).times.join("\n"))' "$here/restic.json" | while read -r time; do
  restic backup -q --time "$(echo "$time" | tr 'T' ' ' | tr -d 'Z')" file
done
keep() { restic forget --dry-run --json --group-by '' "${@:2}" >"$1.json"; }
keep scripts --keep-daily 7 --keep-weekly 4 --keep-monthly 3
keep documentation --keep-hourly 24 --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 75
keep last --keep-last 3
keep within --keep-within 30d
keep many --keep-last 10 --keep-hourly 30 --keep-daily 20 --keep-weekly 20 --keep-monthly 20 --keep-yearly 2
