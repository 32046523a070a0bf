-- The serials of a node's certificates that may speak for it, the newest last; empty: any.
ALTER TABLE "node" ADD COLUMN "certAccepted" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[];
