CREATE TABLE "nodeUpgrade" (
    "id" TEXT NOT NULL,
    "nodeId" TEXT NOT NULL,
    "startedAt" TIMESTAMP(3) NOT NULL,
    "startedBy" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'moving',
    "reason" TEXT NOT NULL DEFAULT '',
    "message" TEXT NOT NULL DEFAULT '',
    "groupIds" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    "fromVersion" TEXT,
    "toVersion" TEXT,
    "deadline" TIMESTAMP(3) NOT NULL,
    "endedAt" TIMESTAMP(3),

    CONSTRAINT "nodeUpgrade_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "nodeUpgrade_nodeId_startedAt_idx" ON "nodeUpgrade"("nodeId", "startedAt" DESC);
-- One at a time on a node.
CREATE UNIQUE INDEX "nodeUpgrade_underWay_key" ON "nodeUpgrade"("nodeId") WHERE "endedAt" IS NULL;
ALTER TABLE "nodeUpgrade" ADD CONSTRAINT "nodeUpgrade_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;
