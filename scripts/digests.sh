#!/bin/sh
# Pins the images of docker-compose.yml by the digests that your registry gives for them now.
# Writes docker-compose.override.yml, which `docker compose` reads by itself; never overwrites.
set -eu

out=docker-compose.override.yml
[ ! -e "$out" ] || { echo "$out exists: look at it, and move it away first" >&2; exit 1; }

digest() {
	docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
}

made=$(mktemp)
trap 'rm -f "$made"' EXIT
echo "services:" >"$made"
awk '/^  [a-z-]+:$/ { name = $1 } /^    image: / && $2 !~ /^lockstep:/ { print name, $2 }' \
	docker-compose.yml | while read -r name image; do
	found=$(digest "$image" </dev/null)
	printf '  %s\n    image: %s@%s\n' "$name" "$image" "$found" >>"$made"
done
base=$(awk '/^FROM / { print $2; exit }' Dockerfile)
found=$(digest "$base")
mv "$made" "$out"
trap - EXIT
echo "$out pins every image. For our own, write in both FROM lines of the Dockerfile:"
echo "  $base@$found"
