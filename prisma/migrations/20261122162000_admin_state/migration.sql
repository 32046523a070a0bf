-- AlterTable
ALTER TABLE "realServer" ADD COLUMN "adminState" TEXT, ADD COLUMN "drain" JSONB;
