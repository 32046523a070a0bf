-- What a node's agent last found when it looked at its machine.
ALTER TABLE "nodeReport" ADD COLUMN "doctor" JSONB;
