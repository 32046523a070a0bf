-- AlterTable
ALTER TABLE "nodeFragment" ADD COLUMN     "health" JSONB;
