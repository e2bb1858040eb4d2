-- Runs once, by psql as superuser, when the data folder is empty. Passwords come from files, so that
-- they are in no environment and in no process list.
--   lockstep_owner    owns the database; used by `lockstep migrate` only
--   lockstep_app      the group that migrations grant rights to; nobody logs in as it
--   lockstep_service  worker and web: a member of lockstep_app and nothing else
--   temporal          owns Temporal's two databases and cannot enter ours
\set ON_ERROR_STOP on
\set owner_password `cat "$LOCKSTEP_SECRETS/owner_password"`
\set service_password `cat "$LOCKSTEP_SECRETS/service_password"`
\set temporal_password `cat "$LOCKSTEP_SECRETS/temporal_password"`

-- A file that cannot be read gives an empty password, which PostgreSQL takes for "none".
select least(length(:'owner_password'), length(:'service_password'), length(:'temporal_password'))
  < 16 as unusable \gset
\if :unusable
  \warn 'a password is missing or shorter than 16 characters: run deploy/make-secrets.sh'
  select 1 / 0 as stop_here;
\endif

create role lockstep_owner login password :'owner_password';
create role lockstep_app nologin;
create role lockstep_service login password :'service_password' in role lockstep_app;
create role temporal login password :'temporal_password';

create database lockstep owner lockstep_owner;
create database temporal owner temporal;
create database temporal_visibility owner temporal;

revoke all on database lockstep, temporal, temporal_visibility from public;
grant connect on database lockstep to lockstep_app;
