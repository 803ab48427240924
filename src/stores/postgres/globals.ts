// Roles: what pg_dumpall wrote of those that a server does not have. Roles that exist are left alone, their passwords above
// all: running the whole file again would set them back to what they were.
import { PkbackupError } from '../../errors.ts';
import { findWord, hasWords, nameOf, readStatements, type Statement } from './sql.ts';

export const globalsName = 'globals.sql';
const lastLine = '-- PostgreSQL database cluster dump complete';

/** Throws `bad_backup` where it is not all that pg_dumpall wrote. */
export function assertWholeGlobals(text: string): void {
  const isWhole =
    text.includes('-- PostgreSQL database cluster dump\n') && text.trimEnd().endsWith(`${lastLine}\n--`);
  if (isWhole) return;
  throw new PkbackupError('bad_backup', `"${globalsName}" does not end as pg_dumpall ends it`);
}

export interface MissingRoles {
  readonly names: readonly string[];
  /** Makes them with passwords, settings, memberships and grants on parameters. Holds password hashes. */
  readonly sql: string;
}

export function missingRoles(globals: string, existing: ReadonlySet<string>): MissingRoles {
  const statements = readStatements(globals);
  const missing = new Set(
    statements.flatMap((one) => rolesMadeBy(one)).filter((role) => !existing.has(role)),
  );
  const wanted = statements.filter((one) => rolesConcerned(one).some((role) => missing.has(role)));
  return { names: [...missing], sql: wanted.map(({ text }) => `${text}\n`).join('') };
}

function rolesMadeBy(statement: Statement): string[] {
  return hasWords(statement, 0, 'CREATE', 'ROLE') ? named(statement, 2) : [];
}

/** The roles for whose sake a statement is run, if it is of a known form. */
function rolesConcerned(statement: Statement): string[] {
  if (hasWords(statement, 0, 'CREATE', 'ROLE')) return named(statement, 2);
  // Settings for one database are in the dump of that database.
  if (hasWords(statement, 0, 'ALTER', 'ROLE') && !hasWords(statement, 3, 'IN', 'DATABASE'))
    return named(statement, 2);
  if (hasWords(statement, 0, 'COMMENT', 'ON', 'ROLE')) return named(statement, 3);
  if (hasWords(statement, 0, 'SECURITY', 'LABEL')) {
    const role = findWord(statement, 'ROLE');
    return role === -1 ? [] : named(statement, role + 1);
  }
  return hasWords(statement, 0, 'GRANT') ? rolesGranted(statement) : [];
}

/** `GRANT bob TO carl ...` concerns both; `GRANT SET ON PARAMETER work_mem TO bob` only bob. */
function rolesGranted(statement: Statement): string[] {
  const to = findWord(statement, 'TO');
  if (to === -1) return [];
  const on = findWord(statement, 'ON');
  if (on === -1 || on > to) return to === 2 ? [...named(statement, 1), ...named(statement, 3)] : [];
  return hasWords(statement, on, 'ON', 'PARAMETER') ? named(statement, to + 1) : [];
}

function named(statement: Statement, at: number): string[] {
  const name = nameOf(statement.tokens[at]);
  return name === undefined ? [] : [name];
}
