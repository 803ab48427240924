// A repository of many small backups, for listing.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, dataSet } from '../bench.ts';

const stores = [
  ['vectors', 'chromadb'],
  ['graph', 'falkordb'],
  ['rows', 'postgres'],
  ['events', 'sqlite'],
  ['memory', 'directory'],
] as const;

export function repositoryOf(bench: Bench, count: number): string {
  return dataSet(bench, `repository-${count}`, (directory) => {
    mkdirSync(join(directory, '.pkbackup'), { mode: 0o700 });
    for (let at = 0; at < count; at += 1) writeBackup(directory, at);
  });
}

function writeBackup(directory: string, at: number): void {
  const [store, kind] = stores[at % stores.length] ?? stores[0];
  const created = new Date(Date.UTC(2020, 0, 1) + at * 3 * 3_600_000);
  const stamp = created.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const stem = `${store}-backup-${stamp}`;
  const sha256 = at.toString(16).padStart(64, '0');
  const archive = `${stem}.tar.gz`;
  const metadata = {
    schema_version: 1,
    backup_file: archive,
    created_at: created.toISOString(),
    store,
    kind,
    set_id: stamp,
    source: {
      container: `stack-${store}`,
      image: 'image:1.2.3',
      volume: `stack_${store}`,
      compose_project: 'stack',
    },
    store_version: '1.5.0',
    quiesce: 'stop',
    downtime_ms: 4100,
    size_bytes: 10,
    raw_size_bytes: 10_240,
    content_bytes: 4000,
    entries: 12,
    sha256,
    compression: 'gzip',
    counts: { collections: 2, records: 420 },
    duration_ms: 12_800,
    hostname: 'server',
    tool_version: '0.1.0',
    checks: [{ at: created.toISOString(), level: 'archive', ok: true }],
  };
  const path = join(directory, archive);
  writeFileSync(path, '0123456789');
  writeFileSync(`${path}.sha256`, `${sha256}  ${archive}\n`);
  writeFileSync(join(directory, `${stem}.metadata.json`), `${JSON.stringify(metadata, null, 2)}\n`);
  utimesSync(path, created, created);
}
