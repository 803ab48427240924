// A drill of a ChromaDB: its server on a throwaway volume, asked for every record of every collection with its vector.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isOfApi, type RemoteTarget } from './chromadb/remote.ts';
import { openRemoteDrill } from './chromadb/remote-drill.ts';
import { type ChromaFiles, databaseFiles, readChromaFiles } from './chromadb-files.ts';
import { compareSamples, wantedRecords } from './chromadb-samples.ts';
import { defaultPort, readEverything, type Server, waitForServer } from './chromadb-server.ts';
import { FilePicker } from './copied-files.ts';
import { type DrillServer, openDrillServer } from './drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from './store.ts';
import { mountPoint, openHelper } from './volume-place.ts';

interface Configured {
  readonly data_path?: string | undefined;
  readonly port?: number | undefined;
}

/** Of 1.x, and of what came before it: one and the same volume is at both. */
const dataPaths = ['/data', '/chroma/chroma'];
/** Before 0.5 a server kept nothing without the first. */
const environment = { IS_PERSISTENT: 'TRUE', ANONYMIZED_TELEMETRY: 'False' };

export async function openChromaDrill(
  { data_path, port }: Configured = {},
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<{ volume: string; image: string } | RemoteTarget>> {
  if (isOfApi(backup))
    return openRemoteDrill({ mountedAt: dataPaths, env: environment }, backup, options, context);
  const server = await openDrillServer(backup, options, context);
  const { docker, throwaway, image } = server;
  let files: ChromaFiles | undefined;
  let running: Server | undefined;
  return {
    target: { volume: throwaway.volume, image: image.id },
    image: server.named,
    async serve() {
      // Before the server comes to it: a newer one changes the database at its start.
      files = await filesOn(server, context);
      const mountedAt = [...new Set([...(data_path === undefined ? [] : [data_path]), ...dataPaths])];
      await server.start({ mountedAt, env: environment }, async (container) => {
        running = { docker, container, port, signal: context.signal };
        await waitForServer(running);
      });
    },
    async check() {
      if (!files || !running) return { findings: ['nothing was served'], counts: {}, asked: 0 };
      const { collections } = files;
      const read = await readEverything(running, collections, wantedRecords(backup.samples));
      const compared = await compareSamples(running, backup.samples, collections, read.vectors);
      return {
        findings: [...read.findings, ...compared.findings],
        counts: read.counts,
        asked: compared.asked,
      };
    },
    environment: () => server.environment(port ?? defaultPort),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function filesOn(
  { docker, throwaway, image }: DrillServer,
  context: StoreContext,
): Promise<ChromaFiles> {
  const { signal, scratchDir } = context;
  const place = { source: throwaway.volume, directory: '', images: [image.id] };
  const directory = join(scratchDir, `drilled-${randomBytes(4).toString('hex')}`);
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  for (const name of databaseFiles) {
    const path = `${mountPoint}/${name}`;
    if (!(await docker.pathStat(helper.id, path, { signal }))) continue;
    const picker = new FilePicker(directory, databaseFiles);
    for await (const _ of picker.tap(docker.readArchive(helper.id, path, { signal })))
      signal.throwIfAborted();
  }
  return readChromaFiles(directory);
}
