// Samples of a Neo4j: how often the patterns among its first relationships occur, and what its first nodes hold. They are
// asked while the server still runs, in the call that counts, and kept only where the copy shows that nobody has written
// since. The questions are always the same: what the metadata says of them is compared with, and never asked.
import { z } from 'zod';
import { samplesOf, shortHash } from '../samples.ts';
import type { Sample } from '../store.ts';
import type { StoreCounter } from './records.ts';
import type { Answers, Row } from './server.ts';

const patternSchema = z.object({
  database: z.string(),
  from: z.string(),
  type: z.string(),
  to: z.string(),
  /** Of the first relationships. */
  count: z.number(),
});
/** Of labels and properties of the first nodes. */
const nodesSchema = z.object({ database: z.string(), nodes_hash: z.string() });
/** By the clock of the server, in seconds since 1970. */
const takenSchema = z.looseObject({ database: z.string(), takenAt: z.number() });

const firstRelationships = 1000;
const firstNodes = 20;
const mostPatterns = 3;

/** By their ids, so that it takes no longer in a large database. */
const questions = [
  `UNWIND range(0, ${firstRelationships - 1}) AS id MATCH (a)-[r]->(b) WHERE id(r) = id
   RETURN coalesce(labels(a)[0], '') AS from_label, type(r) AS type, coalesce(labels(b)[0], '') AS to_label, count(*) AS occurs
   ORDER BY occurs DESC, from_label, type, to_label`,
  `UNWIND range(0, ${firstNodes - 1}) AS node MATCH (n) WHERE id(n) = node UNWIND [''] + keys(n) AS key
   WITH node, reduce(all = '', label IN labels(n) | all + ':' + label) AS labels, key, coalesce(toStringOrNull(n[key]), '') AS text
   RETURN node, labels, key, left(replace(replace(text, '\\n', ' '), '\\r', ' '), 200) AS text ORDER BY node, key`,
];

export const askedAtStatement = 'RETURN timestamp() AS asked_at';

/** By the clock of the server, in milliseconds since 1970; NaN where it was not asked. */
export const askedAtIn = (rows: readonly Row[]): number =>
  Number(rows.find(({ asked_at }) => asked_at !== undefined)?.asked_at);

/** For each database. */
export const sampleStatements: readonly string[] = [askedAtStatement, ...questions];

/** Not yet known to be true of the copy. */
export function samplesIn(answers: Answers): Sample[] {
  return [...answers].flatMap(([database, rows]) => {
    const takenAt = Math.floor(askedAtIn(rows) / 1000);
    if (!Number.isFinite(takenAt)) return [];
    const patterns = patternsIn(rows).slice(0, mostPatterns);
    const nodes = nodesIn(rows);
    const taken = [...patterns, ...(nodes === undefined ? [] : [{ nodes_hash: nodes }])];
    return taken.map((sample) => ({ database, ...sample, takenAt }));
  });
}

/** Those of databases that nobody has written to since: every transaction is in the log before it is anywhere. */
export function keepTrue(samples: readonly Sample[] | undefined, copy: StoreCounter): Sample[] {
  return samplesOf(samples, takenSchema).flatMap(({ takenAt, ...sample }) => {
    return isOlder(copy.logsOf(sample.database), copy, takenAt) ? [sample] : [];
  });
}

/** The same of patterns, where only the records of nodes and relationships are at hand. */
export function keepTruePatterns(samples: readonly Sample[] | undefined, records: StoreCounter): Sample[] {
  return samplesOf(samples, takenSchema).flatMap(({ takenAt, ...sample }) => {
    const directory = `databases/${sample.database}`;
    const files = records.namesIn(directory).filter((name) => name.endsWith('store.db'));
    const paths = files.map((name) => `${directory}/${name}`);
    const isTrue = isOlder(paths, records, takenAt);
    return isTrue && patternSchema.safeParse(sample).success ? [sample] : [];
  });
}

function isOlder(files: readonly string[], copy: StoreCounter, takenAt: number): boolean {
  return files.length > 0 && files.every((name) => (copy.timeOf(name) ?? takenAt) < takenAt);
}

/** `answers` are those of the restored databases to `sampleStatements`. */
export function compareSamples(
  samples: readonly Sample[] | undefined,
  answers: Answers,
): { findings: string[]; asked: number } {
  const findings: string[] = [];
  const patterns = samplesOf(samples, patternSchema);
  for (const { database, from, type, to, count } of patterns) {
    const present = patternsIn(answers.get(database) ?? []);
    const same = present.find((one) => one.from === from && one.type === type && one.to === to);
    const found = same?.count ?? 0;
    if (found !== count) {
      const pattern = `(${from})-[${type}]->(${to})`;
      findings.push(
        `database "${database}": expected ${count} of ${pattern} among its first relationships, found ${found}`,
      );
    }
  }
  const hashes = samplesOf(samples, nodesSchema);
  for (const { database, nodes_hash: expected } of hashes) {
    if (nodesIn(answers.get(database) ?? []) === expected) continue;
    findings.push(`database "${database}": its first nodes are not what they were`);
  }
  return { findings, asked: patterns.length + hashes.length };
}

function patternsIn(rows: readonly Row[]): { from: string; type: string; to: string; count: number }[] {
  return rows.flatMap(({ from_label: from, type, to_label: to, occurs }) =>
    from === undefined || type === undefined || to === undefined
      ? []
      : [{ from, type, to, count: Number(occurs) }],
  );
}

function nodesIn(rows: readonly Row[]): string | undefined {
  const nodes = rows.filter(({ node }) => node !== undefined);
  if (nodes.length === 0) return undefined;
  return shortHash(JSON.stringify(nodes.map(({ node, labels, key, text }) => [node, labels, key, text])));
}
