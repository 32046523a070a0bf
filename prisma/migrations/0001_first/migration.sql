-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "fleet" (
    "id" TEXT NOT NULL,
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "epoch" INTEGER NOT NULL DEFAULT 1,
    "sequence" INTEGER NOT NULL DEFAULT 0,
    "observeOnly" BOOLEAN NOT NULL DEFAULT false,
    "allowMassRemovalUntil" TIMESTAMP(3),
    "highestReported" INTEGER,
    "nextNodeIndex" INTEGER NOT NULL DEFAULT 1,
    "prunedThrough" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "fleet_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "directorGroup" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "mode" TEXT NOT NULL DEFAULT 'single',
    "activeNodeId" TEXT,
    "releasingNodeId" TEXT,
    "releasingSequence" INTEGER,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "sequence" INTEGER NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deletedAt" TIMESTAMP(3),

    CONSTRAINT "directorGroup_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "node" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "directorGroupId" TEXT,
    "index" INTEGER NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'active',
    "certSerial" TEXT,
    "certExpiresAt" TIMESTAMP(3),
    "facts" JSONB,
    "machineId" TEXT,
    "agentVersion" TEXT,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "sequence" INTEGER NOT NULL,
    "enrolledAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "retiredAt" TIMESTAMP(3),

    CONSTRAINT "node_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "vip" (
    "address" TEXT NOT NULL,
    "directorGroupId" TEXT NOT NULL,
    "sequence" INTEGER NOT NULL,
    "deletedAt" TIMESTAMP(3),

    CONSTRAINT "vip_pkey" PRIMARY KEY ("address")
);

-- CreateTable
CREATE TABLE "virtualService" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "directorGroupId" TEXT NOT NULL,
    "vip" TEXT NOT NULL,
    "protocol" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "spec" JSONB NOT NULL,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "sequence" INTEGER NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deletedAt" TIMESTAMP(3),

    CONSTRAINT "virtualService_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "realServer" (
    "id" TEXT NOT NULL,
    "serviceId" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "rip" TEXT NOT NULL,
    "port" INTEGER,
    "weight" INTEGER NOT NULL,
    "forwarding" TEXT,
    "upperThreshold" INTEGER NOT NULL,
    "lowerThreshold" INTEGER NOT NULL,
    "nodeId" TEXT,

    CONSTRAINT "realServer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "gate" (
    "serviceId" TEXT NOT NULL,
    "realServerId" TEXT NOT NULL,
    "directorNodeId" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "wanted" JSONB,
    "admitted" JSONB,
    "releasing" JSONB NOT NULL,
    "since" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "gate_pkey" PRIMARY KEY ("realServerId","directorNodeId")
);

-- CreateTable
CREATE TABLE "change" (
    "id" TEXT NOT NULL,
    "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "author" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "objectKind" TEXT NOT NULL,
    "objectId" TEXT NOT NULL,
    "objectName" TEXT NOT NULL,
    "generation" INTEGER NOT NULL,
    "before" JSONB,
    "after" JSONB,
    "requestId" TEXT,

    CONSTRAINT "change_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "changeOutcome" (
    "changeId" TEXT NOT NULL,
    "nodeId" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "at" TIMESTAMP(3),

    CONSTRAINT "changeOutcome_pkey" PRIMARY KEY ("changeId","nodeId")
);

-- CreateTable
CREATE TABLE "enrollmentToken" (
    "id" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "directorGroupId" TEXT,
    "name" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT NOT NULL,
    "expiresAt" TIMESTAMP(3) NOT NULL,
    "usedAt" TIMESTAMP(3),
    "revokedAt" TIMESTAMP(3),
    "nodeId" TEXT,
    "scriptFetchedAt" TIMESTAMP(3),
    "preflightFailedAt" TIMESTAMP(3),
    "lastContactAt" TIMESTAMP(3),
    "lastContactAddress" TEXT,
    "lastContactMessage" TEXT,

    CONSTRAINT "enrollmentToken_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "nodeReport" (
    "nodeId" TEXT NOT NULL,
    "bootId" TEXT NOT NULL,
    "runId" TEXT NOT NULL,
    "runs" TEXT[],
    "pass" INTEGER NOT NULL,
    "epoch" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL,
    "table" JSONB,
    "tableAt" TIMESTAMP(3),
    "events" JSONB NOT NULL,
    "at" TIMESTAMP(3) NOT NULL,
    "receivedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "nodeReport_pkey" PRIMARY KEY ("nodeId")
);

-- CreateTable
CREATE TABLE "nodePresence" (
    "nodeId" TEXT NOT NULL,
    "lastSeenAt" TIMESTAMP(3) NOT NULL,
    "connectedUntil" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "nodePresence_pkey" PRIMARY KEY ("nodeId")
);

-- CreateTable
CREATE TABLE "nodeFragment" (
    "nodeId" TEXT NOT NULL,
    "fragmentId" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "reason" TEXT,
    "message" TEXT,
    "receivedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "nodeFragment_pkey" PRIMARY KEY ("nodeId","fragmentId")
);

-- CreateTable
CREATE TABLE "nodeCounters" (
    "nodeId" TEXT NOT NULL,
    "latest" JSONB NOT NULL,
    "latestAt" TIMESTAMP(3) NOT NULL,
    "previous" JSONB,
    "previousAt" TIMESTAMP(3),

    CONSTRAINT "nodeCounters_pkey" PRIMARY KEY ("nodeId")
);

-- CreateTable
CREATE TABLE "auditEvent" (
    "id" TEXT NOT NULL,
    "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actor" TEXT NOT NULL,
    "event" TEXT NOT NULL,
    "objectId" TEXT,
    "detail" JSONB NOT NULL,
    "requestId" TEXT,

    CONSTRAINT "auditEvent_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "apiToken" (
    "id" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "scopes" TEXT[],
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT NOT NULL,
    "expiresAt" TIMESTAMP(3) NOT NULL,
    "lastUsedAt" TIMESTAMP(3),
    "revokedAt" TIMESTAMP(3),

    CONSTRAINT "apiToken_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "secret" (
    "name" TEXT NOT NULL,
    "value" BYTEA NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "secret_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "idempotencyKey" (
    "actor" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "requestHash" TEXT NOT NULL,
    "status" INTEGER,
    "headers" JSONB,
    "body" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotencyKey_pkey" PRIMARY KEY ("actor","key")
);

-- CreateTable
CREATE TABLE "user" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "email" TEXT NOT NULL,
    "emailVerified" BOOLEAN NOT NULL DEFAULT false,
    "image" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    "username" TEXT,
    "displayUsername" TEXT,
    "role" TEXT,
    "banned" BOOLEAN DEFAULT false,
    "banReason" TEXT,
    "banExpires" TIMESTAMP(3),

    CONSTRAINT "user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "session" (
    "id" TEXT NOT NULL,
    "expiresAt" TIMESTAMP(3) NOT NULL,
    "token" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    "ipAddress" TEXT,
    "userAgent" TEXT,
    "userId" TEXT NOT NULL,
    "impersonatedBy" TEXT,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "account" (
    "id" TEXT NOT NULL,
    "accountId" TEXT NOT NULL,
    "providerId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "accessToken" TEXT,
    "refreshToken" TEXT,
    "idToken" TEXT,
    "accessTokenExpiresAt" TIMESTAMP(3),
    "refreshTokenExpiresAt" TIMESTAMP(3),
    "scope" TEXT,
    "password" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "verification" (
    "id" TEXT NOT NULL,
    "identifier" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "expiresAt" TIMESTAMP(3) NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "verification_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "rateLimit" (
    "id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "count" INTEGER NOT NULL,
    "lastRequest" BIGINT NOT NULL,

    CONSTRAINT "rateLimit_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "fleet_singleton_key" ON "fleet"("singleton");

-- CreateIndex
CREATE INDEX "directorGroup_sequence_idx" ON "directorGroup"("sequence");

-- CreateIndex
CREATE UNIQUE INDEX "node_index_key" ON "node"("index");

-- CreateIndex
CREATE INDEX "node_sequence_idx" ON "node"("sequence");

-- CreateIndex
CREATE INDEX "node_directorGroupId_idx" ON "node"("directorGroupId");

-- CreateIndex
CREATE INDEX "vip_sequence_idx" ON "vip"("sequence");

-- CreateIndex
CREATE INDEX "virtualService_sequence_idx" ON "virtualService"("sequence");

-- CreateIndex
CREATE INDEX "virtualService_vip_idx" ON "virtualService"("vip");

-- CreateIndex
CREATE INDEX "virtualService_createdAt_id_idx" ON "virtualService"("createdAt", "id");

-- CreateIndex
CREATE INDEX "realServer_serviceId_position_idx" ON "realServer"("serviceId", "position");

-- CreateIndex
CREATE INDEX "realServer_rip_idx" ON "realServer"("rip");

-- CreateIndex
CREATE INDEX "gate_serviceId_idx" ON "gate"("serviceId");

-- CreateIndex
CREATE INDEX "change_generation_idx" ON "change"("generation");

-- CreateIndex
CREATE INDEX "change_objectId_idx" ON "change"("objectId");

-- CreateIndex
CREATE INDEX "changeOutcome_state_idx" ON "changeOutcome"("state");

-- CreateIndex
CREATE UNIQUE INDEX "enrollmentToken_hash_key" ON "enrollmentToken"("hash");

-- CreateIndex
CREATE INDEX "enrollmentToken_createdAt_idx" ON "enrollmentToken"("createdAt");

-- CreateIndex
CREATE INDEX "nodeReport_receivedAt_idx" ON "nodeReport"("receivedAt");

-- CreateIndex
CREATE INDEX "nodePresence_connectedUntil_idx" ON "nodePresence"("connectedUntil");

-- CreateIndex
CREATE INDEX "nodeFragment_nodeId_receivedAt_idx" ON "nodeFragment"("nodeId", "receivedAt");

-- CreateIndex
CREATE INDEX "nodeCounters_latestAt_idx" ON "nodeCounters"("latestAt");

-- CreateIndex
CREATE INDEX "auditEvent_at_id_idx" ON "auditEvent"("at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "apiToken_hash_key" ON "apiToken"("hash");

-- CreateIndex
CREATE INDEX "apiToken_createdAt_idx" ON "apiToken"("createdAt");

-- CreateIndex
CREATE INDEX "idempotencyKey_createdAt_idx" ON "idempotencyKey"("createdAt");

-- CreateIndex
CREATE UNIQUE INDEX "user_email_key" ON "user"("email");

-- CreateIndex
CREATE UNIQUE INDEX "user_username_key" ON "user"("username");

-- CreateIndex
CREATE UNIQUE INDEX "session_token_key" ON "session"("token");

-- CreateIndex
CREATE INDEX "session_userId_idx" ON "session"("userId");

-- CreateIndex
CREATE INDEX "account_userId_idx" ON "account"("userId");

-- CreateIndex
CREATE INDEX "verification_identifier_idx" ON "verification"("identifier");

-- CreateIndex
CREATE UNIQUE INDEX "rateLimit_key_key" ON "rateLimit"("key");

-- AddForeignKey
ALTER TABLE "node" ADD CONSTRAINT "node_directorGroupId_fkey" FOREIGN KEY ("directorGroupId") REFERENCES "directorGroup"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realServer" ADD CONSTRAINT "realServer_serviceId_fkey" FOREIGN KEY ("serviceId") REFERENCES "virtualService"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "gate" ADD CONSTRAINT "gate_serviceId_fkey" FOREIGN KEY ("serviceId") REFERENCES "virtualService"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "changeOutcome" ADD CONSTRAINT "changeOutcome_changeId_fkey" FOREIGN KEY ("changeId") REFERENCES "change"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "nodeReport" ADD CONSTRAINT "nodeReport_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "nodePresence" ADD CONSTRAINT "nodePresence_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "nodeFragment" ADD CONSTRAINT "nodeFragment_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "nodeCounters" ADD CONSTRAINT "nodeCounters_nodeId_fkey" FOREIGN KEY ("nodeId") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_userId_fkey" FOREIGN KEY ("userId") REFERENCES "user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "account" ADD CONSTRAINT "account_userId_fkey" FOREIGN KEY ("userId") REFERENCES "user"("id") ON DELETE CASCADE ON UPDATE CASCADE;


