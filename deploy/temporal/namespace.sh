#!/bin/sh
# Waits for Temporal, then makes the namespace and its search attributes where they do not exist.
# May run any number of times. The connection comes from TEMPORAL_ADDRESS.
set -eu

: "${TEMPORAL_ADDRESS:?}" "${NAMESPACE:?}" "${RETENTION:?}"
tries=${TRIES:-60}
pause=${PAUSE:-2}

attempt=1
until temporal operator cluster health; do
  if [ "$attempt" -ge "$tries" ]; then
    echo "Temporal at $TEMPORAL_ADDRESS is not healthy after $attempt tries" >&2
    exit 1
  fi
  attempt=$((attempt + 1))
  sleep "$pause"
done

if ! temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace create --namespace "$NAMESPACE" --retention "$RETENTION"
fi

# A new namespace is known to every part of the server after a few seconds only.
attempt=1
until known=$(temporal operator search-attribute list --namespace "$NAMESPACE"); do
  if [ "$attempt" -ge "$tries" ]; then
    echo "namespace $NAMESPACE does not answer after $attempt tries" >&2
    exit 1
  fi
  attempt=$((attempt + 1))
  sleep "$pause"
done

for pair in LockstepStatus:Keyword LockstepPartner:Keyword LockstepDueTime:Datetime; do
  name=${pair%%:*}
  if printf '%s\n' "$known" | grep -qw "$name"; then
    echo "kept $name"
  else
    temporal operator search-attribute create --namespace "$NAMESPACE" \
      --name "$name" --type "${pair##*:}"
  fi
done
