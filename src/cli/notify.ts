// pkbackup notify: who is told what, and with --test whether it arrives.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { errorCatalogue, PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { type Delivered, notify, problemOf, reasons, type Target } from '../notify/index.ts';
import { alignColumns } from '../reporters/format.ts';
import { testMessage } from '../reporters/run-message.ts';
import type { TextLook } from '../reporters/text-look.ts';
import { targetsFor } from './announce.ts';
import type { Session } from './session.ts';

export interface NotifyFlags {
  readonly test?: boolean;
}

export async function runNotify(
  session: Session,
  names: readonly string[],
  flags: NotifyFlags,
): Promise<number> {
  const settings = await session.settings();
  const { environment } = settings;
  const { targets, problems } = await targetsFor(settings, environment);
  for (const problem of problems) session.emit({ type: 'warning', message: problem });
  const chosen = choose(names, targets);
  if (flags.test) return test(session, chosen, environment);
  const found = await Promise.all(chosen.map((target) => problemOf(target, environment)));
  const rows = chosen.map((target, index) => ({ target, problem: found[index] }));
  session.answer({
    text: (look) => alignColumns(rows.map((row) => rowOf(row, look))),
    json: () => rows.map(({ target, problem }) => ({ ...facts(target), problem: problem ?? null })),
    isAsked: true,
  });
  return rows.some(({ problem }) => problem !== undefined) ? errorCatalogue.config.exitCode : 0;
}

async function test(
  session: Session,
  targets: readonly Target[],
  environment: Parameters<typeof problemOf>[1],
): Promise<number> {
  const message = testMessage({ host: hostname(), runId: randomUUID() });
  const results = await notify(targets, message, { environment });
  session.answer({
    text: (look) => alignColumns(results.map((result) => resultRow(result, look))),
    json: () => results.map(({ target, error }) => ({ ...facts(target), ok: error === undefined, error })),
    isAsked: true,
  });
  return results.some(({ error }) => error !== undefined) ? errorCatalogue.failed.exitCode : 0;
}

function choose(names: readonly string[], targets: readonly Target[]): readonly Target[] {
  if (targets.length === 0) {
    throw new PkbackupError('not_found', 'nobody is told anything: no messages are configured', {
      hint: 'docs/messages.md shows how, with "notify:" in pkbackup.yaml or BACKUP_WEBHOOK in the environment',
    });
  }
  const known = targets.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return targets.filter(({ name }) => names.length === 0 || names.includes(name));
  throw new PkbackupError('not_found', `no messages go to "${unknown}"${didYouMean(unknown, known)}`, {
    hint: `they go to ${known.join(', ')}`,
  });
}

interface Row {
  readonly target: Target;
  readonly problem: string | undefined;
}

function rowOf({ target, problem }: Row, { paint }: TextLook): string[] {
  const { name, kind, operations } = target;
  const when = kind === 'healthcheck' ? 'start, success, failure' : whenText(target);
  return [name, kind, when, operations.join(', '), problem === undefined ? '' : paint('bad', problem)];
}

function whenText({ on }: Target): string {
  return reasons.every((reason) => on.includes(reason)) ? 'always' : on.join(', ');
}

function resultRow({ target, error }: Delivered, { paint }: TextLook): string[] {
  const verdict = error === undefined ? paint('good', 'sent') : paint('bad', 'FAILED');
  return [verdict, target.name, target.kind, error ?? ''];
}

function facts({ name, kind, on, operations }: Target): Record<string, unknown> {
  return { name, kind, on: kind === 'healthcheck' ? undefined : on, commands: operations };
}
