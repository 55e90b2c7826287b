#!/bin/sh
# Makes the folders of compose.yaml, whose owner is who the services run as, and secrets: passwords of Redis and Grafana, and
# where SECURE is set (compose.tls.yaml), certificates and tokens. What is there is kept. Runs as root, without network.
set -eu
umask 077
owner=$XENOLITH_UID:$XENOLITH_GID
services="generator oracle trainer"
secrets=/stack/secrets

random() { head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

chmod go+rx /stack
for name in runs reports state references work dft prometheus grafana secrets; do
  folder=/stack/$name
  [ -d "$folder" ] || mkdir -m 755 "$folder"
  has=$(stat -c %u "$folder")
  # A folder that somebody else made stays theirs.
  if [ "$has" != 0 ] && [ "$has" != "$XENOLITH_UID" ]; then
    echo "prepare: $name belongs to user $has, the services run as $XENOLITH_UID: set XENOLITH_UID=$has in .env, or choose another folder by XENOLITH_STACK" >&2
    exit 1
  fi
  chown "$owner" "$folder"
done

for name in redis grafana client $services; do mkdir -p "$secrets/$name"; done

for name in redis grafana; do
  [ -s "$secrets/$name/password" ] || random >"$secrets/$name/password"
done
printf 'redis://:%s@redis:6379/0' "$(cat $secrets/redis/password)" >$secrets/oracle/XENOLITH_ORACLE_CACHE

if [ -n "${SECURE:-}" ]; then
  if ! [ -s $secrets/client/ca.pem ]; then
    rm -rf /tmp/certificates
    xenolith certificates /tmp/certificates $(printf -- ' --name %s' $services oracle-dft judge $ALSO_NAMED) >/dev/null
    for name in client $services; do
      cp "/tmp/certificates/$name.pem" "$secrets/$name/tls.pem"
      cp "/tmp/certificates/$name.key" "$secrets/$name/tls.key"
      cp /tmp/certificates/ca.pem "$secrets/$name/ca.pem"
    done
  fi
  for name in client generator trainer; do
    [ -s "$secrets/$name/token" ] || random >"$secrets/$name/token"
  done
  entry() { printf '[%s]\ntoken = "%s"\nroles = [%s]\n\n' "$1" "$(cat "$secrets/$1/token")" "$2"; }
  # Written once: an operator adds callers of his own.
  [ -s $secrets/generator/tokens.toml ] || { entry trainer '"sample", "train"'; entry client '"admin"'; } >$secrets/generator/tokens.toml
  [ -s $secrets/oracle/tokens.toml ] || { entry trainer '"score"'; entry generator '"score"'; entry client '"admin"'; } >$secrets/oracle/tokens.toml
  [ -s $secrets/trainer/tokens.toml ] || entry client '"admin"' >$secrets/trainer/tokens.toml
fi

# The folder above is closed to all but its owner; Redis is another user in its container, and sees its own folder alone.
chown -R "$owner" $secrets
chmod 700 $secrets
chmod 755 $secrets/*
chmod 444 $secrets/redis/password
