# syntax=docker/dockerfile:1
# Trunkline's service: rows, health, metrics and runs over HTTP on port 8080. Nothing here is built as root and run as root.

FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/build.mjs
COPY src src
RUN node scripts/build.mjs --force

FROM node:22-bookworm-slim AS packages
WORKDIR /packages
COPY package.json package-lock.json ./
# The service's own packages are optional peers, which --omit=dev leaves out: those versions are the ones that tests ran with.
RUN npm ci --ignore-scripts --no-audit --no-fund \
  && cp package.json all.json \
  && node -e "const {readFileSync,writeFileSync}=require('fs'); const p=JSON.parse(readFileSync('all.json')); for (const name of Object.keys(p.peerDependencies)) p.dependencies[name]=p.devDependencies[name]; delete p.devDependencies; delete p.peerDependencies; delete p.peerDependenciesMeta; writeFileSync('package.json', JSON.stringify(p))" \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && mv all.json package.json

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /packages/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
RUN ln -s /app/dist/cli/main.js /usr/local/bin/trunkline && mkdir /data && chown node:node /data
USER node
# Configuration (trunkline.yaml) and DuckDB files.
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["trunkline"]
CMD ["serve", "--host", "0.0.0.0", "--open", "health,metrics"]
