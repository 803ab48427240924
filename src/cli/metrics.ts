// Metrics for Prometheus: printed by pkbackup metrics, written into metrics_file of the config file whenever something has
// happened, and served by pkbackup run.
import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Settings } from '../config/index.ts';
import { messageOf } from '../errors.ts';
import { status } from '../operations/status.ts';
import { metricsText } from '../reporters/metrics.ts';
import { statusJson } from '../reporters/status-result.ts';
import { openRepository } from '../repository/index.ts';
import type { Session } from './session.ts';

export async function runMetrics(session: Session): Promise<number> {
  const settings = await session.settings();
  const result = await statusOf(settings);
  session.answer({
    text: () => metricsText(result).trimEnd().split('\n'),
    json: () => statusJson(result),
    isAsked: true,
  });
  return 0;
}

export async function metricsOf(settings: Settings): Promise<string> {
  return metricsText(await statusOf(settings));
}

function statusOf({ repository, stores, config }: Settings) {
  return status({ repository: openRepository(repository, { stores }) }, { configured: stores, config });
}

/** That it cannot be written is a warning, and no failure of what was done. */
export async function writeMetricsFile({ emit }: Session, settings: Settings): Promise<void> {
  const path = settings.config?.metricsFile;
  if (path === undefined) return;
  try {
    await writeWhole(path, await metricsOf(settings));
  } catch (error) {
    emit({
      type: 'warning',
      message: `the metrics were not written to "${path}": ${messageOf(error)}`,
      hint: 'metrics_file must lie in a directory that is there and may be written to',
    });
  }
}

/** The collector reads `*.prom` at any moment, as another user, and must never find half of one. */
async function writeWhole(path: string, text: string): Promise<void> {
  const making = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}`);
  try {
    await writeFile(making, text, { mode: 0o644, flag: 'wx' });
    await rename(making, path);
  } finally {
    await rm(making, { force: true });
  }
}
