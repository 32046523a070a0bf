-- The change that a change takes back.
ALTER TABLE "change" ADD COLUMN "undoOf" TEXT;
CREATE INDEX "change_at_id_idx" ON "change"("at" DESC, "id" DESC);
CREATE INDEX "change_undoOf_idx" ON "change"("undoOf");
