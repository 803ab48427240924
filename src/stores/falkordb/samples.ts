// Samples of a FalkorDB. How large each graph is, the dump says itself; how often a pattern of it occurs and what its first
// nodes hold, only a server does: it is asked right after the save, and the answers are kept if nobody wrote meanwhile.
import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { samplesOf, shortHash } from '../samples.ts';
import type { Sample } from '../store.ts';
import type { RdbFacts } from './rdb.ts';
import { askGraph, type FalkordbServer, keysIn, listGraphs, readInfo } from './server.ts';

const graphSchema = z.object({ graph: z.string() });
const sizeSchema = graphSchema.extend({ nodes: z.number(), edges: z.number() });
const patternSchema = graphSchema.extend({
  from: z.string(),
  type: z.string(),
  to: z.string(),
  count: z.number(),
});
/** Of labels and properties of its first nodes. */
const nodesSchema = graphSchema.extend({ nodes_hash: z.string() });

type Pattern = z.infer<typeof patternSchema>;

const mostSizes = 20;
const mostGraphs = 4;
/** At a backup: what takes longer is no sample. */
const askTimeoutMs = 2000;
const compareTimeoutMs = 60_000;
const firstNodes = 20;

export function sizesIn(facts: RdbFacts | undefined): Sample[] {
  if (!facts || facts.unknown !== undefined) return [];
  return facts.graphs.slice(0, mostSizes).map(({ name, nodes, edges }) => ({ graph: name, nodes, edges }));
}

/** Of what the server has just saved; nothing where somebody has written since. */
export async function takeSamples(server: FalkordbServer): Promise<Sample[]> {
  const before = await readInfo(server);
  if (before.get('rdb_changes_since_last_save') !== '0') return [];
  const databases = databasesOf(before);
  const samples: Sample[] = [];
  for (const graph of (await listGraphs(server)).slice(0, mostGraphs)) {
    try {
      samples.push(
        ...(await askPattern(server, graph, databases)),
        ...(await askNodes(server, graph, databases)),
      );
    } catch (error) {
      if (!/timed out/i.test(messageOf(error))) throw error;
    }
  }
  const after = await readInfo(server);
  const isSame = ['rdb_changes_since_last_save', 'rdb_saves'].every(
    (field) => after.get(field) === before.get(field),
  );
  return isSame ? samples : [];
}

const databasesOf = (info: Awaited<ReturnType<typeof readInfo>>): number[] => {
  const databases = keysIn(info).map(({ database }) => database);
  return databases.length > 0 ? databases : [0];
};

/** Asks all of them again. */
export async function compareSamples(
  server: FalkordbServer,
  samples: readonly Sample[] | undefined,
): Promise<{ findings: string[]; asked: number }> {
  const databases = databasesOf(await readInfo(server));
  const findings: string[] = [];
  const wrong = (graph: string, what: string) => findings.push(`graph "${graph}": ${what}`);
  const sizes = samplesOf(samples, sizeSchema);
  for (const { graph, nodes, edges } of sizes) {
    for (const [what, expected, query] of [
      ['nodes', nodes, 'MATCH (n) RETURN count(n)'],
      ['edges', edges, 'MATCH ()-[e]->() RETURN count(e)'],
    ] as const) {
      const found = await answerOf(server, graph, query, databases, compareTimeoutMs);
      if (found !== expected) wrong(graph, `expected ${expected} ${what}, found ${found}`);
    }
  }
  const patterns = samplesOf(samples, patternSchema);
  for (const pattern of patterns) {
    const found = await answerOf(server, pattern.graph, queryOf(pattern), databases, compareTimeoutMs);
    const { from, type, to, count } = pattern;
    if (found !== count)
      wrong(pattern.graph, `expected ${count} of (${from})-[${type}]->(${to}), found ${found}`);
  }
  const hashes = samplesOf(samples, nodesSchema);
  for (const { graph, nodes_hash: expected } of hashes) {
    const [found] = await askNodes(server, graph, databases, compareTimeoutMs);
    if (found?.nodes_hash !== expected) wrong(graph, 'its first nodes are not what they were');
  }
  return { findings, asked: sizes.length + patterns.length + hashes.length };
}

async function askPattern(
  server: FalkordbServer,
  graph: string,
  databases: readonly number[],
): Promise<Sample[]> {
  const any = 'MATCH (a)-[e]->(b) RETURN labels(a)[0], type(e), labels(b)[0] LIMIT 1';
  const [row] = await rowsOf(server, graph, any, databases, askTimeoutMs);
  const [from, type, to] = row ?? [];
  // A name with a backtick cannot be written between backticks.
  const names = [from, type, to].filter(
    (name) => typeof name === 'string' && !name.includes('`'),
  ) as string[];
  if (names.length < 3) return [];
  const pattern = { graph, from: names[0] ?? '', type: names[1] ?? '', to: names[2] ?? '' };
  const count = await answerOf(server, graph, queryOf(pattern), databases, askTimeoutMs);
  return typeof count === 'number' ? [{ ...pattern, count }] : [];
}

/** Names come from the metadata too: nothing in them ends a name. */
function queryOf({ from, type, to }: Pick<Pattern, 'from' | 'type' | 'to'>): string {
  const name = (text: string) => `\`${text.replaceAll('`', '')}\``;
  return `MATCH (:${name(from)})-[e:${name(type)}]->(:${name(to)}) RETURN count(e)`;
}

async function askNodes(
  server: FalkordbServer,
  graph: string,
  databases: readonly number[],
  timeoutMs = askTimeoutMs,
): Promise<{ graph: string; nodes_hash: string }[]> {
  const query = `MATCH (n) WHERE ID(n) < ${firstNodes} RETURN n ORDER BY ID(n)`;
  const rows = await rowsOf(server, graph, query, databases, timeoutMs);
  return rows.length === 0 ? [] : [{ graph, nodes_hash: shortHash(JSON.stringify(rows.map(plainNode))) }];
}

/** `[["id", 1], ["labels", [...]], ["properties", [[name, value], ...]]]`; only values that every version writes alike. */
function plainNode([node]: unknown[]): unknown {
  const fields = Array.isArray(node) ? new Map(node as [string, unknown][]) : new Map<string, unknown>();
  const properties = (fields.get('properties') as [string, unknown][] | undefined) ?? [];
  const plain = properties.map(([name, value]) => [name, isPlain(value) ? value : typeof value]);
  return [fields.get('labels'), plain.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1))];
}

/** Fractions, lists and points come as texts, too. */
function isPlain(value: unknown): boolean {
  return Number.isInteger(value) || (typeof value === 'string' && !/^[-\d[{(]/.test(value));
}

async function answerOf(...asked: Parameters<typeof rowsOf>): Promise<unknown> {
  return (await rowsOf(...asked))[0]?.[0];
}

async function rowsOf(
  server: FalkordbServer,
  graph: string,
  query: string,
  databases: readonly number[],
  timeoutMs: number,
): Promise<unknown[][]> {
  const answer = (await askGraph(server, graph, query, databases, timeoutMs)) as [unknown, unknown[][]];
  return answer[1] ?? [];
}
