// A FalkorDB without Docker: asked from this host, and its dump read from its data directory.
import { basename } from 'node:path';
import { packFiles } from '../../archive/pack-files.ts';
import type { Look, Snapshot, StoreContext } from '../store.ts';
import { findHostData, printOfDump, refuseUnreplaced } from './host-files.ts';
import { snapshotHot } from './hot-snapshot.ts';
import { askServer } from './look.ts';
import { connectOnHost, type HostConnection } from './on-host.ts';
import { readDataFiles } from './server.ts';

export interface HostTarget extends HostConnection {
  /** Where this machine sees the data directory; what the server says where it is missing. */
  readonly data_path?: string | undefined;
}

export async function lookOnHost(target: HostTarget, context: StoreContext): Promise<Look> {
  const server = await connectOnHost(target, context);
  const { files, usedBytes, said } = await askServer(server, context);
  const data = await findHostData(server, files, target.data_path);
  const present = await printOfDump(data);
  return {
    ...said,
    source: { url: server.url, path: data.dump, append_only: files.appendOnly },
    estimatedBytes: present ? Number(present.size) : usedBytes,
    volumes: [],
  };
}

export async function snapshotOnHost(
  target: HostTarget,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const server = await connectOnHost(target, context);
  const data = await findHostData(server, await readDataFiles(server), target.data_path);
  const before = await printOfDump(data);
  const open = async () => {
    await refuseUnreplaced(server, data, before, 'backup_failed');
    const { signal } = context;
    return { tar: packFiles([{ name: basename(data.dump), path: data.dump }], { signal }) };
  };
  return snapshotHot(server, { path: data.dump, open }, look, context);
}
