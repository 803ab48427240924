// ChromaDB 0.6.3, the last line before the Rust server: Python behind uvicorn, data beside the sources in /chroma.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerRecipe } from '../recipe.ts';
import { healthCheck } from '../steps/health-check.ts';
import { pipInstall } from '../steps/pip.ts';
import { place, write } from '../steps/tree.ts';

const sources = join(import.meta.dirname, 'chromadb-0.6.3');
const packages = '/usr/local/lib/python3.11/dist-packages';

const uvicorn = `#!/usr/bin/python3
from uvicorn.main import main
main()
`;

export const chromadb06: ServerRecipe = {
  image: 'pkbackup-test/chromadb:0.6.3',
  source: import.meta.filename,
  sourceDirs: [sources],
  base: {
    image: 'pkbackup-test/debian:bookworm-python',
    root: { suite: 'bookworm', packages: ['ca-certificates', 'curl', 'libstdc++6', 'python3'] },
  },
  async layOut(tree) {
    await pipInstall(join(tree, packages), join(sources, 'requirements.txt'), '3.11');
    // pip writes them for the Python of this machine
    await rm(join(tree, packages, 'bin'), { recursive: true });
    await write(tree, '/usr/local/bin/uvicorn', uvicorn, 0o755);
    await place(tree, '/docker_entrypoint.sh', join(sources, 'docker_entrypoint.sh'), 0o755);
  },
  dockerfile: `
RUN ln -s /usr/bin/python3 /usr/local/bin/python && python -m compileall -q ${packages}
WORKDIR /chroma
RUN ln -s ${packages}/chromadb chromadb
ENV CHROMA_HOST_ADDR=0.0.0.0 CHROMA_HOST_PORT=8000 CHROMA_WORKERS=1 \\
  CHROMA_LOG_CONFIG=chromadb/log_config.yml CHROMA_TIMEOUT_KEEP_ALIVE=30 ANONYMIZED_TELEMETRY=False
EXPOSE 8000
${healthCheck(['curl', '-f', 'http://localhost:8000/api/v2/heartbeat'])}
ENTRYPOINT ["/docker_entrypoint.sh"]
CMD ["--workers \${CHROMA_WORKERS} --host \${CHROMA_HOST_ADDR} --port \${CHROMA_HOST_PORT} --proxy-headers --log-config \${CHROMA_LOG_CONFIG} --timeout-keep-alive \${CHROMA_TIMEOUT_KEEP_ALIVE}"]
`,
};
