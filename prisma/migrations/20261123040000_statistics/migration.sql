-- Traffic by service, director and fleet: rings of slots, each overwritten when its turn comes again, so that the size is bounded by itself.
CREATE TABLE "statistics" (
    "series" TEXT NOT NULL,
    "stepSeconds" INTEGER NOT NULL,
    "ring" INTEGER NOT NULL,
    "at" TIMESTAMP(3) NOT NULL,
    "coveredMs" INTEGER NOT NULL,
    "missingMs" INTEGER NOT NULL,
    "connections" BIGINT NOT NULL,
    "inPackets" BIGINT NOT NULL,
    "outPackets" BIGINT NOT NULL,
    "inBytes" BIGINT NOT NULL,
    "outBytes" BIGINT NOT NULL,
    "replyPackets" BIGINT NOT NULL,
    "replyBytes" BIGINT NOT NULL,

    CONSTRAINT "statistics_pkey" PRIMARY KEY ("series", "stepSeconds", "ring")
);
-- Slots of the coarser rings are written many times: room for that in their own page keeps the index as it is.
ALTER TABLE "statistics" SET (fillfactor = 80);
CREATE TABLE "statisticsCursor" (
    "nodeId" TEXT NOT NULL,
    "batch" TEXT NOT NULL,

    CONSTRAINT "statisticsCursor_pkey" PRIMARY KEY ("nodeId")
);
ALTER TABLE "statisticsCursor" ADD CONSTRAINT "statisticsCursor_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;
