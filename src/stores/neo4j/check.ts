// The content of a Neo4j backup: the files that a server needs are there, the records are as many as the metadata says, and
// where an image of Neo4j is at hand, its own consistency check finds nothing.
import { toolsOf } from '../backup-image.ts';
import type { BackupFacts, Content, ContentReport, StoreContext } from '../store.ts';
import { checkDatabases } from './admin.ts';
import { StoreCounter } from './records.ts';
import { formOf } from './restored.ts';

export async function checkContent(
  content: Content,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ContentReport> {
  const form = await formOf(content);
  const counter = new StoreCounter();
  for await (const _ of counter.tap(content.tar())) context.signal.throwIfAborted();
  const databases = form === 'files' ? counter.databases : dumpsIn(counter);
  const findings = form === 'files' ? missingFiles(counter) : missingDumps(counter, backup);
  // The files of a paused server lag behind its log.
  const isCounted = form === 'files' && backup.quiesce !== 'pause';
  const counts = isCounted ? (counter.counts() ?? {}) : {};
  for (const [what, expected] of Object.entries(backup.counts)) {
    const found = counts[what];
    if (found !== undefined && found !== expected)
      findings.push(`expected ${expected} ${what}, found ${found}`);
  }
  if (findings.length > 0) return { findings, counts };
  const { failed, notChecked } = await checkConsistency(content, databases, form, backup, context);
  return { findings: failed, counts, notChecked };
}

/** Of a database in the record formats: what holds data. The rest a server makes again. */
const requiredFiles = [
  '',
  '.nodestore.db',
  '.nodestore.db.labels',
  '.relationshipstore.db',
  '.relationshipgroupstore.db',
  '.propertystore.db',
  '.propertystore.db.arrays',
  '.propertystore.db.index',
  '.propertystore.db.index.keys',
  '.propertystore.db.strings',
  '.labeltokenstore.db',
  '.labeltokenstore.db.names',
  '.relationshiptypestore.db',
  '.relationshiptypestore.db.names',
  '.schemastore.db',
].map((end) => `neostore${end}`);

function missingFiles(counter: StoreCounter): string[] {
  const findings: string[] = [];
  for (const name of ['system', ...counter.databases.filter((database) => database !== 'system')]) {
    const directory = `databases/${name}`;
    const files = counter.namesIn(directory);
    if (!files.some((file) => (counter.sizeOf(`${directory}/${file}`) ?? 0) > 0)) {
      findings.push(`"${directory}" is missing or empty`);
      continue;
    }
    const lost = requiredFiles.filter((file) => !files.includes(file));
    if (lost.length > 0 && files.some((file) => file.startsWith('neostore'))) {
      findings.push(`${lost.map((file) => `"${directory}/${file}"`).join(', ')} is missing`);
    }
    const logs = counter.namesIn(`transactions/${name}`);
    const isLogged = logs.some((file) => (counter.sizeOf(`transactions/${name}/${file}`) ?? 0) > 0);
    if (!isLogged) findings.push(`"transactions/${name}" is missing or empty`);
  }
  if (counter.databases.every((name) => name === 'system'))
    findings.push('there is no database beside "system"');
  return findings;
}

const dumpsIn = (counter: StoreCounter): string[] =>
  counter.topNames().flatMap((name) => /^(.+)\.dump$/.exec(name)?.[1] ?? []);

function missingDumps(counter: StoreCounter, backup: BackupFacts): string[] {
  const present = dumpsIn(counter);
  const expected = backup.databases ?? ['system'];
  const missing = expected.filter((name) => !present.includes(name));
  const empty = present.filter((name) => counter.sizeOf(`${name}.dump`) === 0);
  return [
    ...missing.map((name) => `"${name}.dump" is missing`),
    ...empty.map((name) => `"${name}.dump" is empty`),
  ];
}

async function checkConsistency(
  content: Content,
  databases: readonly string[],
  form: 'files' | 'dumps',
  { source }: BackupFacts,
  context: StoreContext,
): Promise<{ failed: string[]; notChecked: string[] }> {
  const { signal } = context;
  const tools = await toolsOf(source, context);
  if (typeof tools === 'string')
    return { failed: [], notChecked: [`the consistency of the databases: ${tools}`] };
  const { docker, image } = tools;
  const results = await checkDatabases({ docker, image: image.id, signal }, databases, content.tar(), form);
  const failed = results.flatMap(({ database, finding }) =>
    finding === undefined ? [] : [`database "${database}": ${finding}`],
  );
  return { failed, notChecked: [] };
}
