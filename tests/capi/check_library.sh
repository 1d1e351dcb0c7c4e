#!/bin/sh
# check_library.sh LIBRARY BUILD_TYPE: what a library for programs exports and needs, and
# how large it is.
set -eu
library=$1

exported=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -v '^rtorch_' || true)
if [ -n "$exported" ]; then
  echo "exports more than rtorch_*: $exported" >&2
  exit 1
fi

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
for name in $needed; do
  case $name in
  libc.so.* | libm.so.* | libstdc++.so.* | libgcc_s.so.* | ld-linux* | librtorch_runtime.so.*) ;;
  *)
    echo "needs $name" >&2
    exit 1
    ;;
  esac
done

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$library"
size=$(wc -c <"$stripped")
echo "$size bytes stripped"
if [ "$2" = Release ] && [ "$size" -gt 307200 ]; then
  echo "expected at most 300 KiB, but got $size bytes" >&2
  exit 1
fi
