// pkbackup config: is the configuration right, what does it come to, and what may be written into it.
import process from 'node:process';
import { errorCatalogue, PkbackupError } from '../errors.ts';
import { checkText, showJson, showText } from '../reporters/config-result.ts';
import type { Session } from './session.ts';

export async function runConfigCheck(session: Session): Promise<number> {
  const { checkConfig } = await import('../config/check.ts');
  const checked = await checkConfig(session.flags, process.env, process.cwd());
  const { file, storeCount, mistakes, warnings } = checked;
  for (const { text } of warnings) session.emit({ type: 'warning', message: text });
  session.answer({
    text: (look) => checkText(checked, look),
    json: () => ({ ok: mistakes.length === 0, file, stores: storeCount, mistakes, warnings }),
  });
  if (mistakes.length === 0) return 0;
  const lines = mistakes.map(({ text }) => text).join('\n');
  session.tellError(
    new PkbackupError('config', lines, { hint: 'docs/configuration.md describes every key' }),
  );
  return errorCatalogue.config.exitCode;
}

export async function runConfigShow(session: Session): Promise<number> {
  const { showConfig } = await import('../config/show.ts');
  const shown = await showConfig(session.flags, process.env, process.cwd());
  session.answer({ text: (look) => showText(shown, look), json: () => showJson(shown), isAsked: true });
  return 0;
}

export async function runConfigSchema(session: Session): Promise<number> {
  const { default: schema } = await import('../../docs/pkbackup.schema.json', { with: { type: 'json' } });
  session.answer({
    text: () => [JSON.stringify(schema, null, 2)],
    json: () => schema,
    isAsked: true,
  });
  return 0;
}
