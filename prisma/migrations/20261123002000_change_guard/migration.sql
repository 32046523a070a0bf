-- What takes a change back by itself unless it is kept in time.
CREATE TABLE "changeGuard" (
    "changeId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "seconds" INTEGER NOT NULL,
    "deadline" TIMESTAMP(3) NOT NULL,
    "awaited" TEXT[],
    "state" TEXT NOT NULL DEFAULT 'pending',
    "reason" TEXT NOT NULL DEFAULT '',
    "message" TEXT NOT NULL DEFAULT '',
    "decidedBy" TEXT,
    "decidedAt" TIMESTAMP(3),

    CONSTRAINT "changeGuard_pkey" PRIMARY KEY ("changeId")
);
CREATE INDEX "changeGuard_state_idx" ON "changeGuard"("state");
ALTER TABLE "changeGuard" ADD CONSTRAINT "changeGuard_changeId_fkey" FOREIGN KEY ("changeId") REFERENCES "change"("id") ON DELETE CASCADE ON UPDATE CASCADE;
