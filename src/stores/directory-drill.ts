// A drill of a directory: restored into the scratch directory, and compared there with what was recorded of it.
import { join } from 'node:path';
import { packTree } from '../archive/pack-tree.ts';
import { countTree } from './count-tree.ts';
import type { DirectoryTarget } from './directory-restore.ts';
import { refuseImage } from './drill-server.ts';
import { removeTree } from './removal.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from './store.ts';
import { TreeSampler } from './tree-samples.ts';

export async function openDirectoryDrill(
  _target: DirectoryTarget | undefined,
  backup: BackupFacts,
  options: DrillOptions,
  { scratchDir, signal }: StoreContext,
): Promise<DrillPlace<DirectoryTarget>> {
  refuseImage(backup, options);
  const directory = join(scratchDir, `drill-${options.id}`);
  const path = join(directory, 'restored');
  return {
    target: { path },
    serve: async () => undefined,
    async check() {
      const { counts } = await countTree(path, () => false, signal);
      const sampler = new TreeSampler();
      await sampler.read(packTree(path, { signal }));
      const asked = backup.samples?.length ?? 0;
      return { findings: sampler.differences(backup.samples), counts, asked };
    },
    environment: () => ({ PATH: path }),
    [Symbol.asyncDispose]: () => removeTree(directory),
  };
}
