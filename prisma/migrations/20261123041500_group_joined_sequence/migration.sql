ALTER TABLE "directorGroup" ADD COLUMN "joinedSequence" INTEGER;
