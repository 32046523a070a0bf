# The controller with the agent bundle it hands out. Build from the checkout: docker build -f infra/docker/controller.Dockerfile .
FROM node:20-bookworm-slim
WORKDIR /srv/trigon
ENV CHECKPOINT_DISABLE=1
COPY . .
RUN npm ci --no-audit --no-fund && npm run generate -w @trigon/db && npm run build -w @trigon/agent \
  && mkdir -p /var/lib/trigon && chown node:node /var/lib/trigon
USER node
ENV NODE_ENV=production TRIGON_DATA=/var/lib/trigon
VOLUME /var/lib/trigon
EXPOSE 8443 9443
CMD ["node", "--import", "tsx", "apps/controller/src/main.ts"]
