# The console. It holds no credentials: people reach it through the controller, which proxies to it.
FROM node:20-bookworm-slim
WORKDIR /srv/trigon
ENV CHECKPOINT_DISABLE=1 NEXT_TELEMETRY_DISABLED=1
COPY . .
RUN npm ci --no-audit --no-fund && npm run generate -w @trigon/db && npm run build -w @trigon/web && chown -R node:node apps/web/.next
USER node
ENV NODE_ENV=production
EXPOSE 3000
WORKDIR /srv/trigon/apps/web
CMD ["node", "../../node_modules/next/dist/bin/next", "start", "-H", "0.0.0.0", "-p", "3000"]
