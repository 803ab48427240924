import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HostSwap, isWorkName, type SwapPlace, workNameFor } from '../../src/stores/host-swap.ts';
import { makeTempDir, runAsNobody } from '../archive/gather.ts';
import { describeTree, isRoot } from '../archive/hostile-tree.ts';

const entries = 1000;
const source = join(import.meta.dirname, '../../src/stores/host-swap.ts');

function fill(directory: string, content: string): void {
  fs.mkdirSync(directory, { recursive: true });
  for (let count = 0; count < entries; count += 1)
    fs.writeFileSync(join(directory, `entry-${count}`), content);
  fs.writeFileSync(join(directory, `only-${content}`), content);
}

function placeIn(root: string): SwapPlace {
  return {
    directory: join(root, 'place'),
    workDir: join(root, '.place.pkbackup-00000000'),
    isPart: (name) => name !== 'kept',
    withRoot: true,
  };
}

/** A process swaps and undoes it again, and is killed in the middle. */
async function killedAfter(root: string, delayMs: number): Promise<void> {
  const program = `import { HostSwap } from ${JSON.stringify(source)};
    const swap = new HostSwap({ ...${JSON.stringify(placeIn(root))}, isPart: (name) => name !== 'kept' });
    console.log('begins');
    await swap.swap();
    await swap.rollback();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('HostSwap', () => {
  it('can be undone by another process wherever the first one was killed', async () => {
    const root = makeTempDir();
    const place = placeIn(root);
    fill(place.directory, 'old');
    fs.writeFileSync(join(place.directory, 'kept'), 'kept');
    const before = describeTree(place.directory);
    const states = new Set<string>();
    for (const delayMs of [0, 8, 20, 40, 70, 110]) {
      await new HostSwap(place).prepare();
      fill(join(place.workDir, 'staged'), 'new');
      await killedAfter(root, delayMs);
      states.add(fs.existsSync(place.workDir) ? fs.readdirSync(place.workDir).sort().join(' ') : 'nothing');
      // Twice killed: the second one while it undoes.
      await killedAfter(root, 10);
      await new HostSwap(place).rollback();
      expect(describeTree(place.directory)).toEqual(before);
      expect(fs.readdirSync(root)).toEqual(['place']);
    }
    expect(states.size).toBeGreaterThan(1);
  }, 120_000);

  it('can be finished by another process', async () => {
    const root = makeTempDir();
    const place = placeIn(root);
    fill(place.directory, 'old');
    await new HostSwap(place).prepare();
    fill(join(place.workDir, 'staged'), 'new');
    fs.chmodSync(join(place.workDir, 'staged'), 0o750);
    await killedAfter(root, 15);
    if (fs.existsSync(place.workDir)) {
      await new HostSwap(place).swap();
      await new HostSwap(place).discard();
      expect(fs.readFileSync(join(place.directory, 'entry-7'), 'utf8')).toBe('new');
      expect(fs.statSync(place.directory).mode & 0o777).toBe(0o750);
      expect(fs.readdirSync(root)).toEqual(['place']);
    }
  });

  it.runIf(isRoot)('swaps and undoes directories without the right to write, as their owner', async () => {
    const root = makeTempDir();
    const said = runAsNobody(
      root,
      `import fs from 'node:fs';
       import { HostSwap } from 'SRC/stores/host-swap.ts';
       const place = { directory: 'place', workDir: '.work', isPart: () => true, withRoot: true };
       const put = (path, mode) => {
         fs.mkdirSync(path + '/closed', { recursive: true });
         fs.writeFileSync(path + '/closed/' + mode.toString(8), '');
         fs.chmodSync(path + '/closed', 0o700);
         fs.chmodSync(path, mode);
       };
       const look = () => (fs.statSync('place').mode & 0o777).toString(8) + ' ' + fs.readdirSync('place/closed');
       put('place', 0o500);
       const swap = new HostSwap(place);
       await swap.prepare();
       put('.work/staged', 0o555);
       await swap.swap();
       console.log(look());
       await swap.rollback();
       console.log(look());
       await swap.prepare();
       put('.work/staged', 0o555);
       await swap.swap();
       fs.chmodSync('.work/pkbackup-previous/closed', 0);
       await swap.discard();
       console.log(look(), fs.readdirSync('.'));`,
    );
    expect(said).toBe("555 555\n500 500\n555 555 [ 'place' ]\n");
  });

  it('knows its own names', () => {
    expect(isWorkName(workNameFor('memory'))).toBe(true);
    expect(isWorkName('.pkbackup')).toBe(true);
    for (const name of ['memory', '.pkbackuprc', 'x.pkbackup-12345678', '.memory.pkbackup-notes']) {
      expect(isWorkName(name)).toBe(false);
    }
  });
});
