#!/bin/bash
# Behaves like the entrypoint of the official image for all that the test bed uses; written anew.
set -Eeuo pipefail

# The value of a variable, or of the file that <name>_FILE names.
from_file() {
  local name=$1 default=${2:-} file="${1}_FILE"
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then
    echo "error: both $name and $file are set (but are exclusive)" >&2
    exit 1
  fi
  local value=${!name:-$default}
  if [[ -n ${!file:-} ]]; then value=$(<"${!file}"); fi
  export "$name=$value"
  unset "$file"
}

own_directories() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA" || :
  chmod 3775 /var/run/postgresql || :
  if ((EUID == 0)); then find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +; fi
}

require_password() {
  if [[ -n $POSTGRES_PASSWORD || $POSTGRES_HOST_AUTH_METHOD == trust ]]; then return; fi
  {
    echo 'Error: Database is uninitialized and superuser password is not specified.'
    echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.'
  } >&2
  exit 1
}

create_cluster() {
  # POSTGRES_INITDB_ARGS holds a shell-quoted list of options.
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(echo \"\$POSTGRES_PASSWORD\") $POSTGRES_INITDB_ARGS"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

sql() {
  PGHOST='' PGHOSTADDR='' psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

create_database() {
  if [[ $POSTGRES_DB != postgres ]]; then sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'; fi
}

run_init_files() {
  local file
  for file; do
    echo "$0: running $file"
    case $file in
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) sql --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

initialize() {
  require_password
  create_cluster
  export PGPASSWORD=$POSTGRES_PASSWORD
  shift
  # Only the socket answers until all init files are done, so that nobody outside sees a half-made database.
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@" -c listen_addresses='')" -w start
  create_database
  shopt -s nullglob
  run_init_files /docker-entrypoint-initdb.d/*
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi

if [[ $1 == postgres && ! " $* " =~ \ (--help|--version|-V|-\?)\  ]]; then
  own_directories
  if ((EUID == 0)); then exec gosu postgres "$BASH_SOURCE" "$@"; fi
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
  if [[ ! -s $PGDATA/PG_VERSION ]]; then initialize "$@"; fi
fi

exec "$@"
