// What a running server says of itself, before it is stopped.
import { throwIfAborted } from '../../docker/index.ts';
import { messageOf } from '../../errors.ts';
import type { Look, StoreContext } from '../store.ts';
import { sampleStatements, samplesIn } from './samples.ts';
import {
  type Answers,
  askDatabases,
  countStatements,
  countsIn,
  type Neo4jServer,
  type ServerFacts,
  waitUntilOnline,
} from './server.ts';

const startingDeadlineMs = 120_000;

export type Stored = Pick<Look, 'counts' | 'isEmpty' | 'samples'> & {
  version?: string | undefined;
  databases?: string[] | undefined;
};

/** `refuseOther` throws where its data is not what is meant. */
export async function askServer(
  server: Neo4jServer,
  refuseOther: (facts: ServerFacts) => Promise<void>,
  context: StoreContext,
): Promise<Stored> {
  // It may have been started a moment ago, by a backup for one.
  const facts = await waitUntilOnline(server, startingDeadlineMs);
  await refuseOther(facts);
  const answers = await askAll(server, facts, context);
  const counts = countsIn(answers);
  const databases = facts.databases.map(({ name }) => name);
  return {
    counts,
    databases,
    version: facts.version,
    isEmpty: counts.nodes === 0 && counts.relationships === 0,
    samples: samplesIn(answers),
  };
}

/** A backup without samples is one all the same. */
async function askAll(
  server: Neo4jServer,
  { databases }: ServerFacts,
  { emit, store, signal }: StoreContext,
): Promise<Answers> {
  try {
    return await askDatabases(server, databases, [...countStatements, ...sampleStatements]);
  } catch (error) {
    throwIfAborted(signal);
    const counts = await askDatabases(server, databases, countStatements);
    const message = `nothing was recorded for a drill to ask again: ${messageOf(error)}`;
    emit({ type: 'step', store, message });
    return counts;
  }
}
