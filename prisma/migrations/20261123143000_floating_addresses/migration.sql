ALTER TABLE "directorGroup" ADD COLUMN "floatingAddresses" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[];
