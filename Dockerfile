FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY driver driver
# This Node needs nothing compiled.
RUN npm ci --ignore-scripts
COPY tsconfig.json LICENSE ./
COPY supply supply
COPY src src
# `--build-arg QUEUE=pg-boss` adds what that setting needs.
ARG QUEUE=memory
RUN npm run build && npm run image -- /image "$QUEUE"

FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
# What only installs is not for a service. /data belongs to its user alone.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
  && install -d -m 700 -o node -g node /data
# The file system may be read-only: SQLite puts what it sorts beside the database.
ENV NODE_ENV=production HOST=0.0.0.0 DATABASE_URL=file:/data/orders.db SQLITE_TMPDIR=/data
WORKDIR /app
COPY --from=build /image ./
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=32", "dist/main.js"]
