#!/bin/sh
# merge.sh BUILD TARGET... - what fuzzing has found worth keeping, as the committed inputs: the fewest small ones that
# reach the same code.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
for target; do
	dir=$build/merged/$target
	rm -rf "$dir"
	mkdir -p "$dir" "$build/corpus/$target"
	"$build/$target" -merge=1 -use_value_profile=0 -max_len=4096 "$dir" "$build/corpus/$target" >"$build/$target.merge.log" 2>&1
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$dir" -cf - . | gzip -9n >"tests/fuzz/corpus/$target.tar.gz"
	printf '%-18s %5d inputs, %7d bytes packed\n' "$target" "$(find "$dir" -type f | wc -l)" "$(stat -c %s "tests/fuzz/corpus/$target.tar.gz")"
done
