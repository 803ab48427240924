// The commands of docs/stores/neo4j.md, run as they stand there with the names of the examples replaced.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { image } from '../../testbed/index.ts';
import { makeTempDir } from '../archive/gather.ts';
import { inVolume, uniqueName, volumeNamed } from '../docker/bed.ts';
import { fill, fingerprint, loseAll, startNeo4j } from './fixtures/neo4j-server.ts';

const root = join(import.meta.dirname, '../..');

function backUp(directory: string, config: string): void {
  writeFileSync(join(directory, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  graph: ${config}\n`);
  execFileSync(process.execPath, [join(root, 'bin/pkbackup.js'), 'backup', '--quiet'], { cwd: directory });
}

function commandsFor(method: 'volume' | 'dump'): string {
  const page = readFileSync(join(root, 'docs/stores/neo4j.md'), 'utf8');
  const [, section = ''] = page.split('## Restore by hand');
  const [files, dumps] = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, commands]) => commands);
  return (method === 'volume' ? files : dumps) ?? '';
}

test.each(['volume', 'dump'] as const)(
  'a backup by %s comes back with its users, without pkbackup',
  async (method) => {
    const directory = makeTempDir();
    const server = await startNeo4j();
    await fill(server, 1);
    const before = await fingerprint(server);
    backUp(directory, `{ kind: neo4j, container: ${server.name}, method: ${method} }`);
    await loseAll(server);

    const archive = readdirSync(join(directory, 'backups')).find((name) => name.endsWith('.tar.gz')) ?? '';
    const kept = volumeNamed(uniqueName('kept'));
    let commands = commandsFor(method).replaceAll('graph-backup-20261120-020000.tar.gz', archive);
    const actual = { 'pk-mcp-neo4j': server.name, 'pk-mcp_neo4j': server.volume, 'before-the-restore': kept };
    for (const [name, ours] of Object.entries({ ...actual, 'neo4j:5.26': image.neo4j })) {
      expect(commands).toContain(name);
      commands = commands.replaceAll(name, ours);
    }
    execFileSync('sh', ['-ec', commands], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });

    expect(await fingerprint(server)).toBe(before);
    expect(await inVolume(kept, 'ls /v')).toContain('databases');
  },
);
