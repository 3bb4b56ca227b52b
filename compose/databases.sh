#!/bin/sh
# Run by the Postgres image when it starts on an empty volume: for each service a role that may do
# anything in a database of its own and nothing elsewhere, and one that may look at statistics.
set -eu

sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres "$@"; }

# The password goes in as a variable, so that none of its characters means anything.
role() {
    echo "CREATE ROLE \"$1\" LOGIN PASSWORD :'password'" | sql --set password="$2"
}

for service in order inventory notification; do
    variable=$(echo "${service}_DATABASE_PASSWORD" | tr '[:lower:]' '[:upper:]')
    role "$service" "$(printenv "$variable")"
    sql --command "CREATE DATABASE \"$service\" OWNER \"$service\""
    sql --command "REVOKE ALL ON DATABASE \"$service\" FROM PUBLIC"
done
role monitor "$MONITOR_DATABASE_PASSWORD"
sql --command "GRANT pg_monitor TO monitor"
sql --command "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"
sql --command "GRANT CONNECT ON DATABASE postgres TO monitor"
