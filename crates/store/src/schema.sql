-- The catalog. One row in `file` is one visible file of a version; a row appears whole or not at all.
CREATE TABLE file (
  id      INTEGER PRIMARY KEY,
  module  TEXT    NOT NULL,
  version TEXT    NOT NULL,
  kind    INTEGER NOT NULL,          -- 0 .info, 1 .mod, 2 .zip
  sha256  BLOB    NOT NULL,          -- 32 bytes
  size    INTEGER NOT NULL,          -- bytes
  body    BLOB,                      -- small content; NULL: a blob file named by sha256
  h1      BLOB,                      -- 32 bytes, for .mod and .zip
  inner   BLOB,                      -- 32 bytes: the h1 hash of a zip's own go.mod, if it has one
  source  TEXT    NOT NULL,          -- where it came from, credentials removed
  fetched INTEGER NOT NULL,          -- Unix seconds
  proof   INTEGER NOT NULL DEFAULT 0,-- 0 to be checked, 1 proved, 2 no checksum database is asked
  damaged INTEGER NOT NULL DEFAULT 0 -- 1: bytes did not match when read; fetched again on demand
                                     -- 2: the checksum database has another hash: never served
);
CREATE UNIQUE INDEX file_name ON file (module, version, kind);
CREATE INDEX file_unproved ON file (id) WHERE proof = 0 AND h1 IS NOT NULL AND damaged = 0;
CREATE INDEX file_blob ON file (sha256) WHERE body IS NULL;
CREATE TABLE blob (
  sha256 BLOB PRIMARY KEY,
  size   INTEGER NOT NULL,
  sums   BLOB NOT NULL               -- XXH3-64 of each 64 KiB block
) WITHOUT ROWID;
CREATE TABLE answer (                -- what may change: lists, @latest, branch queries
  id       INTEGER PRIMARY KEY,
  module   TEXT NOT NULL,
  question TEXT NOT NULL,            -- 'list', 'latest', or '=' and the revision asked
  body     BLOB NOT NULL,
  source   TEXT NOT NULL,
  fetched  INTEGER NOT NULL
);
CREATE UNIQUE INDEX answer_name ON answer (module, question);
CREATE TABLE sum (                   -- what checksum databases said, proved: records, tiles, heads
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL,                -- the database
  path TEXT NOT NULL,                -- below /sumdb/NAME/; 'head' is the newest proved tree head
  body BLOB NOT NULL
);
CREATE UNIQUE INDEX sum_name ON sum (name, path);
