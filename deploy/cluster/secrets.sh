#!/bin/sh
# Make the passwords and certificates of a cluster. What is there already stays: delete a file to have it
# made anew.
#
#   sudo deploy/cluster/secrets.sh                 # into deploy/cluster/secrets, for docker-compose.yml
#   sudo deploy/cluster/secrets.sh /etc/cluster    # elsewhere: SECRETS_DIR in deploy/cluster/.env
#
#   nats/                     for nats-server.conf: passwords.conf, server.pem, server.key, ca.pem
#   receiver/, deliverer/     for the members of each role, user 10001 (OWNER): nats_password, nats_ca.pem,
#                             admin_token
#   deliverer/sink_token      is yours to write
#   operator/                 for people with the `nats` command: password, ca.pem
#   authority.key             issues certificates for NATS servers: keep it away from all machines
#
# SERVERS are the names by which NATS servers are reached, all of them in one certificate; *.example is one.
set -euf
umask 077

directory=${1:-$(dirname "$0")/secrets}
owner=${OWNER:-10001}
servers=${SERVERS:-nats-1 nats-2 nats-3}

password() {  # FILE: make it with a random password unless it is there
  if [ ! -e "$1" ]; then
    openssl rand -hex 32 > "$1"
  fi
}

for name in nats receiver deliverer operator; do
  mkdir -p "$directory/$name"
done
password "$directory/receiver/nats_password"
password "$directory/deliverer/nats_password"
password "$directory/operator/password"
password "$directory/receiver/admin_token"
password "$directory/deliverer/admin_token"

cat > "$directory/nats/passwords.conf" <<END
RECEIVER_PASSWORD: "$(cat "$directory/receiver/nats_password")"
DELIVERER_PASSWORD: "$(cat "$directory/deliverer/nats_password")"
OPERATOR_PASSWORD: "$(cat "$directory/operator/password")"
END

if [ ! -e "$directory/authority.key" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=authority of the collector's NATS servers" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$directory/authority.key" -out "$directory/nats/ca.pem" 2> /dev/null
fi
if [ ! -e "$directory/nats/server.pem" ]; then
  extensions=$(mktemp)
  trap 'rm -f "$extensions"' EXIT
  {
    printf 'subjectAltName=DNS:localhost'
    for server in $servers; do
      printf ',DNS:%s' "$server"
    done
    # Servers are clients of each other, too.
    printf '\nextendedKeyUsage=serverAuth,clientAuth\n'
  } > "$extensions"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=nats" \
    -keyout "$directory/nats/server.key" 2> /dev/null |
    openssl x509 -req -days 3650 -CA "$directory/nats/ca.pem" -CAkey "$directory/authority.key" \
      -extfile "$extensions" -out "$directory/nats/server.pem" 2> /dev/null
fi
for name in receiver deliverer; do
  cp "$directory/nats/ca.pem" "$directory/$name/nats_ca.pem"
done
cp "$directory/nats/ca.pem" "$directory/operator/ca.pem"
chown -R "$owner" "$directory/receiver" "$directory/deliverer"
