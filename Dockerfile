# syntax=docker/dockerfile:1
# Trunkline's service: rows, health, metrics and runs over HTTP on port 8080.

FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY scripts/setup.mjs scripts/build.mjs scripts/
COPY scripts/servers/install.mjs scripts/servers/
RUN node scripts/setup.mjs
COPY tsconfig.json tsconfig.build.json README.md CHANGELOG.md LICENSE ./
COPY src src
RUN node scripts/build.mjs --force && npm pack --ignore-scripts && mv trunkline-*.tgz trunkline.tgz
# The service's own packages are optional: in the versions that the tests ran with.
RUN node -p "const p = require('./package.json'); Object.keys(p.peerDependencies).map((name) => name + '@' + p.devDependencies[name]).join(' ')" > peers

FROM node:22-bookworm-slim AS packages
WORKDIR /app
COPY --from=build /build/trunkline.tgz /build/peers /tmp/
RUN npm install --ignore-scripts --no-audit --no-fund --no-package-lock /tmp/trunkline.tgz $(cat /tmp/peers)

FROM node:22-bookworm-slim
ENV NODE_ENV=production
COPY --from=packages /app /app
RUN ln -s /app/node_modules/.bin/trunkline /usr/local/bin/trunkline && mkdir /data && chown node:node /data
USER node
# Configuration (trunkline.yaml) and DuckDB files.
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["trunkline"]
CMD ["serve", "--host", "0.0.0.0", "--open", "health,metrics"]
