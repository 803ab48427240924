// What belongs to a database as a whole, out of its dump: how it was created (encoding, locale, tablespace), and its
// settings, grants and comment. pg_restore makes them only with -C and under the dump's own name; a restore needs them
// under the name of a database beside.
import { PkbackupError } from '../../errors.ts';
import type { Toc, TocEntry } from './dump-format.ts';
import { findWord, hasWords, identifier, nameOf, readStatements, type Statement } from './sql.ts';

/** `tablespaces` are those that the server has; the default one is taken for others. */
export function createDatabase(toc: Toc, name: string, tablespaces: ReadonlySet<string>): string {
  const entry = toc.entries.find(({ type }) => type === 'DATABASE');
  const [statement, ...others] = readStatements(entry?.sql ?? '');
  if (!entry || !statement || others.length > 0 || !hasWords(statement, 0, 'CREATE', 'DATABASE')) {
    throw new PkbackupError(
      'bad_backup',
      `the dump of database "${toc.database}" does not say how it was created`,
    );
  }
  const options = statement.text.slice(statement.tokens[2]?.end, statement.tokens.at(-1)?.end);
  const owner = entry.owner === '' ? '' : ` OWNER = ${identifier(entry.owner)}`;
  return `CREATE DATABASE ${identifier(name)}${withoutTablespace(statement, options, tablespaces)}${owner}`;
}

function withoutTablespace(statement: Statement, options: string, tablespaces: ReadonlySet<string>): string {
  const at = findWord(statement, 'TABLESPACE');
  const named = statement.tokens[at + 2];
  const tablespace = at === -1 ? undefined : nameOf(named);
  if (!named || tablespace === undefined || tablespaces.has(tablespace)) return options;
  const offset = statement.tokens[2]?.end ?? 0;
  const start = (statement.tokens[at]?.start ?? 0) - offset;
  return options.slice(0, start) + options.slice(named.end - offset);
}

/** Tablespaces that the dump names, for the database or for anything in it. */
export function tablespacesOf(toc: Toc): string[] {
  const database = toc.entries.find(({ type }) => type === 'DATABASE');
  const ofDatabase = readStatements(database?.sql ?? '').flatMap((statement) => {
    const at = findWord(statement, 'TABLESPACE');
    return at === -1 ? [] : (nameOf(statement.tokens[at + 2]) ?? []);
  });
  const ofEntries = toc.entries.map(({ tablespace }) => tablespace).filter((name) => name !== '');
  return [...new Set([...ofDatabase, ...ofEntries])];
}

/** SQL that gives them to the database `name`; empty where there are none. */
export function databaseProperties(toc: Toc, name: string): string {
  const statements = toc.entries.filter(isProperty).flatMap(({ sql }) => readStatements(sql));
  return statements.map((statement) => `${renamed(statement, name)}\n`).join('');
}

function isProperty({ type, tag }: TocEntry): boolean {
  if (type === 'DATABASE PROPERTIES') return true;
  return ['ACL', 'COMMENT', 'SECURITY LABEL'].includes(type) && tag.startsWith('DATABASE ');
}

function renamed(statement: Statement, name: string): string {
  if (isAuthorization(statement)) return statement.text;
  const at = findWord(statement, 'DATABASE');
  const token = statement.tokens[at + 1];
  if (!isAboutDatabase(statement, at) || !token || nameOf(token) === undefined) {
    const words = statement.tokens.slice(0, 2).map(({ value }) => value);
    throw new PkbackupError(
      'bad_backup',
      `the dump has an unknown statement about its database: ${words.join(' ')}`,
    );
  }
  return statement.text.slice(0, token.start) + identifier(name) + statement.text.slice(token.end);
}

/** Grants by somebody else than the owner stand between these. */
function isAuthorization(statement: Statement): boolean {
  return (
    (hasWords(statement, 0, 'SET', 'SESSION', 'AUTHORIZATION') && statement.tokens.length === 4) ||
    (hasWords(statement, 0, 'RESET', 'SESSION', 'AUTHORIZATION') && statement.tokens.length === 3)
  );
}

function isAboutDatabase(statement: Statement, at: number): boolean {
  if (hasWords(statement, 0, 'ALTER', 'DATABASE')) return at === 1;
  if (hasWords(statement, 0, 'ALTER', 'ROLE')) return hasWords(statement, 3, 'IN', 'DATABASE') && at === 4;
  if (hasWords(statement, 0, 'COMMENT', 'ON', 'DATABASE')) return at === 2;
  if (hasWords(statement, 0, 'SECURITY', 'LABEL')) return hasWords(statement, at - 1, 'ON');
  const isGrant = hasWords(statement, 0, 'GRANT') || hasWords(statement, 0, 'REVOKE');
  return isGrant && hasWords(statement, at - 1, 'ON');
}
