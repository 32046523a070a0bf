ALTER TABLE "directorGroup" ADD COLUMN "vrrp" JSONB;
ALTER TABLE "directorGroup" ADD COLUMN "virtualRouterId" INTEGER;
ALTER TABLE "directorGroup" ADD COLUMN "joined" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[];
ALTER TABLE "directorGroup" ADD COLUMN "leaving" JSONB NOT NULL DEFAULT '[]';
ALTER TABLE "directorGroup" ADD COLUMN "preferredNodeId" TEXT;
ALTER TABLE "directorGroup" ADD COLUMN "preferredSequence" INTEGER;
ALTER TABLE "nodeReport" ADD COLUMN "groups" JSONB;
-- Takeovers that somebody asked for: moves, and drills with the way back.
CREATE TABLE "groupMove" (
    "id" TEXT NOT NULL,
    "directorGroupId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "fromNodeId" TEXT NOT NULL,
    "toNodeId" TEXT NOT NULL,
    "startedAt" TIMESTAMP(3) NOT NULL,
    "startedBy" TEXT NOT NULL,
    "sequence" INTEGER NOT NULL,
    "deadline" TIMESTAMP(3) NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'moving',
    "reason" TEXT NOT NULL DEFAULT '',
    "gapMs" INTEGER,
    "backSequence" INTEGER,
    "backGapMs" INTEGER,
    "endedAt" TIMESTAMP(3),

    CONSTRAINT "groupMove_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "groupMove_directorGroupId_startedAt_idx" ON "groupMove"("directorGroupId", "startedAt" DESC);
-- One at a time in a group.
CREATE UNIQUE INDEX "groupMove_underWay_key" ON "groupMove"("directorGroupId") WHERE "endedAt" IS NULL;
ALTER TABLE "groupMove" ADD CONSTRAINT "groupMove_directorGroupId_fkey" FOREIGN KEY ("directorGroupId") REFERENCES "directorGroup"("id") ON DELETE CASCADE ON UPDATE CASCADE;
