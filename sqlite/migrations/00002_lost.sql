-- +goose Up
-- 1: the last holder died holding the run; 0: it was released, or held by nobody yet.
ALTER TABLE run ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
