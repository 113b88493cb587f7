#!/bin/sh
# replay.sh FOLDER TARGET... - the committed inputs of each target through FOLDER/TARGET, built from replay.c.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for target; do
	mkdir "$dir/$target"
	tar -xzf "tests/fuzz/corpus/$target.tar.gz" -C "$dir/$target"
	printf '%-18s ' "$target"
	"$folder/$target" "$dir/$target"
done
