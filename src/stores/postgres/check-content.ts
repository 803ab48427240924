// The content level of verify. Every dump is read to its last byte by our own reader, which counts rows and compares them
// with what was counted when it was made; and, where the image of the server is here, by its pg_restore too.
import { messageOf, PkbackupError } from '../../errors.ts';
import type { BackupFacts, Content, ContentReport, StoreContext } from '../store.ts';
import { type ArchivedFile, archivedFiles, textOf } from './archived-files.ts';
import { addDump, differences, noCounts } from './counts.ts';
import { DumpReader } from './dump-format.ts';
import { databaseOf } from './file-names.ts';
import { assertWholeGlobals, globalsName } from './globals.ts';
import { openSecondReader, type SecondReader } from './second-reader.ts';

export async function checkContent(
  content: Content,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ContentReport> {
  const findings: string[] = [];
  const notChecked: string[] = [];
  const counts = noCounts();
  let hasGlobals = false;
  await using second = await openSecondReader(backup, context);
  if (typeof second.isMissing === 'string') notChecked.push(second.isMissing);
  for await (const file of archivedFiles(content)) {
    try {
      if (file.name === globalsName) {
        assertWholeGlobals(await textOf(file));
        hasGlobals = true;
      } else {
        const { toc, counts: found } = await readDump(file, second);
        if (toc.isCompressed) notChecked.push(`rows of "${file.name}": it is compressed`);
        addDump(counts, toc, found);
      }
    } catch (error) {
      if (!(error instanceof PkbackupError) || error.code !== 'bad_backup') throw error;
      findings.push(error.message);
    }
  }
  if (!hasGlobals) findings.push(`"${globalsName}" is missing`);
  if (findings.length === 0) findings.push(...differences(counts, backup.counts));
  return { findings, counts, notChecked };
}

async function readDump(file: ArchivedFile, second: SecondReader) {
  const name = databaseOf(file.name);
  const reader = new DumpReader(`the dump of database "${name}"`);
  async function* watched(): AsyncGenerator<Buffer> {
    for await (const chunk of file.data) {
      reader.read(chunk);
      yield chunk;
    }
    reader.end();
  }
  if (second.isMissing) {
    for await (const _ of watched());
    return reader.end();
  }
  try {
    await second.read(watched());
  } catch (error) {
    const message = messageOf(error);
    if (error instanceof PkbackupError && error.code !== 'failed') throw error;
    if (/: exit code 1\b/.test(message)) {
      throw new PkbackupError('bad_backup', `the dump of database "${name}" cannot be read: ${message}`);
    }
    throw new PkbackupError('failed', `pg_restore could not read the dump of database "${name}": ${message}`);
  }
  return reader.end();
}
