CREATE TABLE "foreignDecision" (
    "nodeId" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "decision" TEXT NOT NULL,
    "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "foreignDecision_pkey" PRIMARY KEY ("nodeId","key")
);
ALTER TABLE "foreignDecision" ADD CONSTRAINT "foreignDecision_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;
