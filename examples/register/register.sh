#!/bin/sh
# A register of badges in a text file, spoken to by a program: connector = "program".
# Each line of the file is: number|e-mail|badge|on (or off). POSIX sh, sed and awk are enough.
#
# Members of a request stand in the order of the page, without spaces and in plain ASCII, so that
# sed can read them. A value with a backslash is refused rather than guessed.
set -eu

IFS= read -r asked
part() { printf '%s\n' "$asked" | sed -n "s/.*$1.*/\\1/p"; }
request=$(part '"request":"\([^"]*\)","do"')
what=$(part '"do":"\([a-z_]*\)"')
file=$(part '"options":{[^}]*"register":"\([^"]*\)"')
account=$(part '"account":{"id":"\([^"]*\)"')
emails=$(printf '%s\n' "$asked" | tr '{' '\n' | sed -n 's/^"kind":"email","value":"\([^"]*\)"}.*/\1/p')

say() { printf '{"lockstep":1,"request":"%s",%s}\n' "$request" "$1"; }
fault() {
  say "\"fault\":{\"category\":\"$1\",\"operation\":\"register.$what\",\"code\":\"$2\"}"
  exit 0
}
case $asked in *\\*) fault unexpected_answer backslash ;; esac
[ -r "$file" ] || fault unreachable no_register
[ -w "$file" ] || fault permission_missing cannot_write

line=$(awk -F'|' -v id="$account" '$1 == id' "$file")
state=${line##*|}
read_told() { say '"exchange":{"operation":"register.read","status":200}'; }
ways() { [ "$state" = off ] || printf '{"kind":"sign_in","ref":"%s"}' "$account"; }
seen() {
  read_told
  if [ -z "$line" ]; then say '"seen":{"exists":false,"standing":[],"unread":[]}'
  else say "\"seen\":{\"exists\":true,\"standing\":[$(ways)],\"unread\":[]}"; fi
}

case $what in
  health)
    read_told
    say '"health":{"reachable":true,"problems":[]}' ;;
  locate)
    # Everybody is read and compared, so that no other proof is needed.
    read_told
    found=$(printf '%s\n' "$emails" | awk -F'|' '
      NR == FNR { if ($0 != "") wanted[tolower($0)]; next }
      tolower($2) in wanted {
        printf "%s{\"account\":{\"id\":\"%s\",\"locator\":\"%s\",", comma, $1, $2
        printf "\"keys\":[{\"kind\":\"email\",\"value\":\"%s\"}]},\"found_by\":\"email\"}", $2
        comma = ","
      }' - "$file")
    tried=$(printf '%s\n' "$emails" | awk '$0 != "" {
        printf "%s{\"kind\":\"email\",\"value\":\"%s\",\"proof\":\"listed\"}", comma, $0
        comma = ","
      }')
    say "\"located\":{\"accounts\":[$found],\"searches\":[$tried],\"unread\":[]}" ;;
  look | read_back)
    seen ;;
  contain)
    if [ -n "$line" ] && [ "$state" != off ]; then
      awk -F'|' -v OFS='|' -v id="$account" '$1 == id { $4 = "off" } { print }' \
        "$file" > "$file.new" || fault vendor_error not_written
      mv "$file.new" "$file" || fault vendor_error not_moved
      say '"exchange":{"operation":"register.off","status":200}'
      say "\"action\":{\"kind\":\"sign_in\",\"ref\":\"$account\"}"
    fi
    say '"done":{}' ;;
  strip)
    say '"done":{}' ;;
  *)
    fault unexpected_answer unknown_request ;;
esac
