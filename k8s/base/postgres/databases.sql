-- Written by `ci/k8s --update` from compose/databases.sql; change it there.
-- Run by the Postgres image when it starts on an empty volume: for each service a role that may do anything
-- in a database of its own and nothing elsewhere, and one that may look at statistics.
\set ON_ERROR_STOP on

\getenv password ORDER_DATABASE_PASSWORD
CREATE ROLE "order" LOGIN PASSWORD :'password';
CREATE DATABASE "order" OWNER "order";

\getenv password INVENTORY_DATABASE_PASSWORD
CREATE ROLE inventory LOGIN PASSWORD :'password';
CREATE DATABASE inventory OWNER inventory;

\getenv password NOTIFICATION_DATABASE_PASSWORD
CREATE ROLE notification LOGIN PASSWORD :'password';
CREATE DATABASE notification OWNER notification;

\getenv password AUTH_DATABASE_PASSWORD
CREATE ROLE auth LOGIN PASSWORD :'password';
CREATE DATABASE auth OWNER auth;

\getenv password COMMANDER_DATABASE_PASSWORD
CREATE ROLE commander LOGIN PASSWORD :'password';
CREATE DATABASE commander OWNER commander;

-- By default everybody may connect everywhere.
REVOKE ALL ON DATABASE "order", inventory, notification, auth, commander, postgres, template1 FROM PUBLIC;

\getenv password MONITOR_DATABASE_PASSWORD
CREATE ROLE monitor LOGIN PASSWORD :'password';
GRANT pg_monitor TO monitor;
GRANT CONNECT ON DATABASE postgres TO monitor;
