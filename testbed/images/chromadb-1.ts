// ChromaDB 1.x. The npm package carries the whole Rust server as a native module; a Node off the PATH runs it.
import { join } from 'node:path';
import process from 'node:process';
import type { ServerRecipe } from '../recipe.ts';
import { projectRoot } from '../state.ts';
import { healthCheck } from '../steps/health-check.ts';
import { npmInstall } from '../steps/npm.ts';
import { place, write } from '../steps/tree.ts';
import { debianTrixie } from './debian-trixie.ts';

const packages = ['chromadb@3.5.0', `chromadb-js-bindings-linux-${process.arch}-gnu@1.3.4`];
const home = '/usr/local/lib/chroma';

/**
 * Node's own SIGTERM handler raises the signal again and counts on being gone by then. The server puts its handler in
 * front and calls the old one, so the two would call each other for ever. With any listener there is no such handler.
 */
const launcher = `#!${home}/node
process.on('SIGTERM', () => {});
await import('${home}/node_modules/chromadb/dist/cli.mjs');
`;

// The image has no curl, as the official one.
const probe = `exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /api/v2/heartbeat HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q 'nanosecond heartbeat' <&3`;

export const chromadb1: ServerRecipe = {
  image: 'pkbackup-test/chromadb:1',
  source: import.meta.filename,
  base: debianTrixie,
  async layOut(tree) {
    await npmInstall(join(tree, home), packages);
    await place(tree, `${home}/node`, join(projectRoot, 'node_modules/node/bin/node'), 0o755);
    await write(tree, `${home}/launcher.mjs`, launcher, 0o755);
    await write(tree, '/config.yaml', 'persist_path: "/data"\n');
  },
  dockerfile: `
RUN ln -s ${home}/launcher.mjs /usr/local/bin/chroma
ENV RUST_BACKTRACE=0
EXPOSE 8000
${healthCheck(['bash', '-c', probe])}
ENTRYPOINT ["dumb-init", "--", "chroma"]
CMD ["run", "/config.yaml"]
`,
};
