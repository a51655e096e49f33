FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY driver driver
# This Node needs nothing compiled.
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 DATABASE_URL=file:/data/orders.db
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/driver driver
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=32", "dist/main.js"]
