-- When a deleted service was let go of, its objects left in the kernels of its nodes.
ALTER TABLE "virtualService" ADD COLUMN "releasedAt" TIMESTAMP(3);
