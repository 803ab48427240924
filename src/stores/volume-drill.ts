// A drill of a volume that nobody knows the meaning of: restored into a throwaway volume, read back, and compared with what
// was recorded of it. No server is started: which one would it be?
import { refuseImage } from './drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from './store.ts';
import { TreeSampler } from './tree-samples.ts';
import { imagesFor, readPlace } from './volume-place.ts';

export async function openVolumeDrill(
  target: { readonly image?: string | undefined } | undefined,
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<{ volume: string; image?: string | undefined }>> {
  refuseImage(backup, options);
  const { signal } = context;
  const docker = await context.docker();
  const throwaway = await docker.openThrowaway(options.id, { signal });
  const { volume } = throwaway;
  return {
    target: { ...target, volume },
    serve: async () => undefined,
    async check() {
      const images = await imagesFor(docker, volume, target?.image, signal);
      const place = { source: volume, directory: '', images };
      const copy = await readPlace(docker, place, { signal, onDevice: () => undefined });
      const sampler = new TreeSampler();
      await sampler.read(copy.tar);
      await copy.dispose?.();
      return {
        findings: sampler.differences(backup.samples),
        counts: {},
        asked: backup.samples?.length ?? 0,
      };
    },
    environment: () => ({ VOLUME: volume }),
    [Symbol.asyncDispose]: () => throwaway[Symbol.asyncDispose](),
  };
}
