#!/bin/sh
# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# Makes a run folder for each design of a table and dispatches a run in it:
#
#   doe.sh TEMPLATE DESIGNS.csv STUDY [INCLUDE...]
#
# The first line of DESIGNS.csv names the columns, the first of which is the design's name.
# <<column>> in TEMPLATE becomes the design's value. The deck of a design is
# STUDY/DESIGN/main.k, beside copies of the INCLUDEs; STUDY is below one of the nodes'
# work_roots. A second call dispatches the designs that are new, and no other.
#
# In the environment: LSDYNA_JOB (the parameterized job, "lsdyna-dispatch"), LSDYNA_OWNER
# (whom folders are given to when root calls this, "nobody"), and what nomad needs.
set -eu

[ $# -ge 3 ] || { echo "usage: doe.sh TEMPLATE DESIGNS.csv STUDY [INCLUDE...]" >&2; exit 2; }
template=$1 designs=$2
mkdir -p "$3"
study=$(cd "$3" && pwd)
shift 3
job=${LSDYNA_JOB:-lsdyna-dispatch}
# Who owns a folder can lead whoever writes there to any other file.
if [ "$(id -u)" = 0 ] && [ "$(stat -c %u "$study")" != 0 ]; then
  echo "doe.sh: $study is another user's: call this as that user" >&2
  exit 1
fi
umask 022

# prepare puts the folder of a design in its place when it is whole, and never touches it again.
prepare() {
  new=$(mktemp -d "$study/.new.XXXXXX")
  # One substitution for each column. Values are numbers and names: nothing that sed reads.
  awk -v names="$header" -v values="$row" '
    BEGIN { n = split(names, name, ","); split(values, value, ",") }
    { for (i = 1; i <= n; i++) gsub("<<" name[i] ">>", value[i]); print }' "$template" > "$new/main.k"
  if grep -n '<<[A-Za-z0-9_]*>>' "$new/main.k" >&2; then
    rm -r "$new"
    echo "doe.sh: $design: $designs has no column for these" >&2
    exit 1
  fi
  for include in "$@"; do cp "$include" "$new/"; done
  chmod 755 "$new"
  [ "$(id -u)" != 0 ] || chown -R "${LSDYNA_OWNER:-nobody}" "$new"
  mv -T "$new" "$study/$design"
}

header=$(head -n 1 "$designs" | tr -d '\r')
tail -n +2 "$designs" | tr -d '\r' | while IFS= read -r row; do
  design=${row%%,*}
  case $design in
    '') continue ;;
    *[!A-Za-z0-9_.-]* | .*) echo "doe.sh: $design: letters, digits, _, . and - only" >&2; exit 1 ;;
  esac
  [ -e "$study/$design" ] || prepare "$@"
  said=$(nomad job dispatch -detach -id-prefix-template="$design" -idempotency-token="$study/$design" -meta run_dir="$study/$design" "$job")
  printf '%s\n' "$said" | sed -n "s|^Dispatched Job ID *= *|$design: |p"
done
