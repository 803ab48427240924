#!/bin/bash
# Behaves like the entrypoint of the official image for all that the test bed uses; written anew.
set -eu

as_neo4j=()
owner="$(id -u):$(id -g)"
if ((EUID == 0)); then
  as_neo4j=(gosu neo4j:neo4j)
  owner=neo4j:neo4j
  # Not those that are right: the file system of the container would copy each of them first.
  find "$NEO4J_HOME" \( ! -user neo4j -o ! -group neo4j \) -exec chown --no-dereference neo4j:neo4j {} +
fi

# What is mounted belongs to neo4j from then on. The official image says so on stdout, too.
own() {
  if ((EUID == 0)) && [[ -d $1 && -n $("${as_neo4j[@]}" find "$1" ! -writable 2>&1 | head -1) ]]; then
    echo "Warning: Folder mounted to \"$1\" is not writable from inside container. Changing folder owner to neo4j."
    chown -R "$owner" "$1"
  fi
}

conf="$NEO4J_HOME/conf/neo4j.conf"

put() { # setting value
  touch "$conf"
  sed -i "/^${1//./\\.}=/d" "$conf"
  echo "$1=$2" >>"$conf"
}

put_default() {
  if ! grep -q "^${1//./\\.}=" "$conf" 2>/dev/null; then put "$1" "$2"; fi
}

# NEO4J_server_tx__log_x is server.tx_log.x
put_environment() {
  local name setting
  for name in $(compgen -e | grep '^NEO4J_[a-z]' || :); do
    setting=$(sed 's/^NEO4J_//; s/_/./g; s/\.\./_/g' <<<"$name")
    if [[ -n ${!name} ]]; then put "$setting" "${!name}"; fi
  done
}

set_password() {
  local auth=${NEO4J_AUTH:-}
  if [[ -n ${NEO4J_AUTH_PATH:-} ]]; then auth=$(<"$NEO4J_AUTH_PATH"); fi
  if [[ $auth == none ]]; then
    put dbms.security.auth_enabled false
  elif [[ $auth =~ ^neo4j/([^/]+)(/[tT][rR][uU][eE])?$ ]]; then
    mkdir -p /data/dbms
    if ((EUID == 0)); then chown neo4j:neo4j /data/dbms; fi
    "${as_neo4j[@]}" neo4j-admin dbms set-initial-password "${BASH_REMATCH[1]}" ${BASH_REMATCH[2]:+--require-password-change}
  elif [[ -n $auth ]]; then
    echo "Invalid value for NEO4J_AUTH: '$auth'" >&2
    exit 1
  fi
}

own /logs
own /data
# Unlike the official one: tests tell nobody.
put_default dbms.usage_report.enabled false
put_default server.memory.pagecache.size 512M
put_default server.default_listen_address 0.0.0.0
put_default server.directories.run /run
put_default server.directories.logs /logs
put_environment

if [[ $1 == neo4j ]]; then
  set_password
  eval exec "${as_neo4j[@]}" "$("${as_neo4j[@]}" neo4j console --dry-run)"
fi
exec "${as_neo4j[@]}" "$@"
