#!/bin/sh
# Makes every secret that docker-compose.yml needs, once, in the folder given (default:
# deploy/secrets). Never overwrites: a lost keyring makes all personal data unreadable.
set -eu

folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
# Compose hands files over with the host's rights, and the containers' users are not ours. So the
# folder admits its owner only, and the files in it may be read by whoever is handed one.
chmod 700 "$folder"

random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
random_base64() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

write() {
  if [ -e "$folder/$1" ]; then
    echo "kept $1"
    return
  fi
  printf '%s' "$2" >"$folder/$1.partial"
  chmod 444 "$folder/$1.partial"
  mv "$folder/$1.partial" "$folder/$1"
  echo "made $1"
}

write postgres_password "$(random_hex)"
write owner_password "$(random_hex)"
write service_password "$(random_hex)"
write temporal_password "$(random_hex)"
write database_owner_url \
  "postgresql://lockstep_owner:$(cat "$folder/owner_password")@postgres:5432/lockstep"
write database_url \
  "postgresql://lockstep_service:$(cat "$folder/service_password")@postgres:5432/lockstep"
write keyring.json \
  "{\"current\": \"k1\", \"keys\": {\"k1\": \"$(random_base64)\"}, \"index\": \"$(random_base64)\", \"unbound\": []}"
write ledger_key "$(random_base64)"
write hr_webhook_secret "whsec_$(random_base64)"

echo "Back up $folder/keyring.json now, apart from the database: without it nothing can be read."
echo "Back up $folder/ledger_key too: it signs the ledger's heads."
