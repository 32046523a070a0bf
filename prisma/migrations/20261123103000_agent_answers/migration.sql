-- Lives for seconds: nothing is lost when a crash empties it.
CREATE UNLOGGED TABLE "agentAnswer" (
    "id" TEXT NOT NULL,
    "nodeId" TEXT NOT NULL,
    "body" JSONB NOT NULL,
    "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agentAnswer_pkey" PRIMARY KEY ("id")
);
