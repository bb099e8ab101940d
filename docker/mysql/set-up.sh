#!/bin/bash
# Run once by the MySQL image, when its data directory is new and only the socket is open.
# ROLE is "primary" or "replica"; a replica follows the server named by PRIMARY.
set -eu
secrets=${SECRETS:-/run/secrets}

secret()
{
    head -n 1 "$secrets/$1"
}

# As a literal of SQL.
quoted()
{
    local word
    word=$(secret "$1")
    word=${word//\\/\\\\}
    printf "'%s'" "${word//\'/\\\'}"
}

run_sql()
{
    MYSQL_PWD=$(secret root) mysql --user=root
}

# Accounts are made on the primary alone and reach the replicas as everything else does.
set_up_primary()
{
    run_sql <<END
CREATE USER 'replication'@'%' IDENTIFIED BY $(quoted replication);
GRANT REPLICATION SLAVE ON *.* TO 'replication'@'%';
CREATE USER 'monitor'@'%' IDENTIFIED BY $(quoted monitor);
GRANT REPLICATION CLIENT ON *.* TO 'monitor'@'%';
CREATE DATABASE app;
CREATE USER 'app'@'%' IDENTIFIED BY $(quoted app);
GRANT ALL ON app.* TO 'app'@'%';
END
}

# What the image did until now is in this server's own log; it must not count as a transaction
# that the primary lacks.  Replication begins by itself with the server's next start, which
# follows; read_only is remembered for that start, too.
set_up_replica()
{
    run_sql <<END
RESET BINARY LOGS AND GTIDS;
CHANGE REPLICATION SOURCE TO SOURCE_HOST = '$PRIMARY', SOURCE_PORT = ${PRIMARY_PORT:-3306},
    SOURCE_USER = 'replication', SOURCE_PASSWORD = $(quoted replication),
    SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1,
    SOURCE_CONNECT_RETRY = 2, SOURCE_RETRY_COUNT = 1000000;
SET PERSIST_ONLY read_only = ON;
SET PERSIST_ONLY super_read_only = ON;
END
}

case $ROLE in
primary) set_up_primary ;;
replica) set_up_replica ;;
*) echo "ROLE is neither primary nor replica: $ROLE" >&2; exit 1 ;;
esac
