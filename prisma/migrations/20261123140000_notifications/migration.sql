-- Who is told of events, and what still has to be told. No foreign key: writing an event shall wait for nobody who holds a target.
CREATE TABLE "notificationTarget" (
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL DEFAULT 'webhook',
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "secret" BYTEA,
    "topics" TEXT[],
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT NOT NULL,
    "dropped" INTEGER NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "failingSince" TIMESTAMP(3),
    "nextAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "claim" TEXT,
    "claimedUntil" TIMESTAMP(3),
    "last" JSONB,

    CONSTRAINT "notificationTarget_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "notificationTarget_name_key" ON "notificationTarget"("name");

CREATE TABLE "notification" (
    "sequence" BIGSERIAL NOT NULL,
    "targetId" TEXT NOT NULL,
    "eventId" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "at" TIMESTAMP(3) NOT NULL,
    "objectId" TEXT,
    "key" TEXT,
    "actor" TEXT,
    "detail" JSONB NOT NULL,

    CONSTRAINT "notification_pkey" PRIMARY KEY ("sequence")
);
CREATE INDEX "notification_targetId_sequence_idx" ON "notification"("targetId", "sequence");

-- Set while a node is not heard of, so that one replica alone tells of it.
ALTER TABLE "nodePresence" ADD COLUMN "unreachableSince" TIMESTAMP(3);
