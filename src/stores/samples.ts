// Samples: questions with short answers that are recorded at a backup and asked again of what was restored. What the metadata
// says of them is input: it selects among questions that a kind can ask, and is never one itself.
import { hash } from 'node:crypto';
import { z } from 'zod';
import type { Sample } from './store.ts';

/** For people: `rows 1 to 50 of table "events"`. */
export interface Answered extends Sample {
  readonly ask: string;
  readonly answer: string;
}

const answeredSchema = z.looseObject({ ask: z.string().max(1000), answer: z.string().max(1000) });

/** Tells contents apart, and tells nothing of them. */
export const shortHash = (content: string | Uint8Array): string =>
  hash('sha256', content, 'hex').slice(0, 16);

/** Those of the metadata that have the form that is asked for. */
export function samplesOf<T extends Sample>(samples: readonly Sample[] | undefined, form: z.ZodType<T>): T[] {
  return (samples ?? []).flatMap((sample) => {
    const parsed = form.safeParse(sample);
    return parsed.success ? [parsed.data] : [];
  });
}

/** What is answered otherwise than at the backup; `found` is the same questions, asked again. */
export function compareAnswers(
  samples: readonly Sample[] | undefined,
  found: readonly Answered[],
): { findings: string[]; asked: number } {
  const expected = samplesOf(samples, answeredSchema);
  const answers = new Map(found.map(({ ask, answer }) => [ask, answer]));
  const findings = expected.flatMap(({ ask, answer }) => {
    const now = answers.get(ask);
    if (now === answer) return [];
    return [`${ask}: ${now === undefined ? 'not there' : `expected ${answer}, got ${now}`}`];
  });
  return { findings, asked: expected.length };
}
