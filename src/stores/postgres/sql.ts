// SQL as text: quoting what we write, and reading the statements of pg_dump and pg_dumpall apart. What is in an archive is
// input: only statements of known forms about roles and databases are taken from it, and nothing that psql itself would
// act on (a backslash outside quotes) passes.
import { PkbackupError } from '../../errors.ts';

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** For sessions with standard_conforming_strings, which all of ours have. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A name as `--dbname`: alone, one with "=" in it, or "postgresql://" before it, would be taken apart. */
export const conninfo = (database: string): string => `dbname='${database.replace(/[\\']/g, '\\$&')}'`;

export interface Token {
  readonly kind: 'word' | 'identifier' | 'string' | 'symbol';
  /** A word in upper case, an identifier without quotes; strings and symbols as they are. */
  readonly value: string;
  /** Of a word as it is: an identifier that needs no quotes. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export interface Statement {
  readonly text: string;
  /** Positions are those in `text`; the final semicolon is not among them. */
  readonly tokens: readonly Token[];
}

const space = /[\s]+|--[^\n]*/y;
const restrictLine = /\\(?:un)?restrict [A-Za-z0-9]+(?:\r?\n|$)/y;
const tokenForms: readonly [Token['kind'], RegExp][] = [
  ['string', /[eE]'(?:[^'\\]|\\[\s\S]|'')*'/y],
  ['string', /'(?:[^']|'')*'/y],
  ['identifier', /"(?:[^"]|"")*"/y],
  ['word', /[\p{L}_][\p{L}\p{N}_$]*/uy],
  ['symbol', /[0-9][0-9.]*|[^\s\\'"]/y],
];

/** Throws `bad_backup` where it is not SQL of the simple kind that pg_dump writes for roles and databases. */
export function readStatements(sql: string): Statement[] {
  const statements: Statement[] = [];
  let tokens: Token[] = [];
  let start = 0;
  let at = 0;
  while (at < sql.length) {
    const skipped =
      matchAt(space, sql, at) ?? (tokens.length === 0 ? matchAt(restrictLine, sql, at) : undefined);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const token = readToken(sql, at);
    if (tokens.length === 0) start = at;
    at = token.end;
    if (token.value === ';') {
      statements.push({ text: sql.slice(start, at), tokens: tokens.map((one) => shift(one, start)) });
      tokens = [];
    } else tokens.push(token);
  }
  if (tokens.length > 0) throw notReadable('a statement does not end');
  return statements;
}

function readToken(sql: string, at: number): Token {
  for (const [kind, form] of tokenForms) {
    const text = matchAt(form, sql, at);
    if (text === undefined) continue;
    return { kind, value: meaningOf(kind, text), text, start: at, end: at + text.length };
  }
  throw notReadable(`there is an unexpected ${JSON.stringify(sql.slice(at, at + 1))}`);
}

function meaningOf(kind: Token['kind'], text: string): string {
  if (kind === 'word') return text.toUpperCase();
  return kind === 'identifier' ? text.slice(1, -1).replaceAll('""', '"') : text;
}

function matchAt(form: RegExp, text: string, at: number): string | undefined {
  form.lastIndex = at;
  return form.exec(text)?.[0];
}

const shift = (token: Token, by: number): Token => ({
  ...token,
  start: token.start - by,
  end: token.end - by,
});

function notReadable(why: string): PkbackupError {
  return new PkbackupError('bad_backup', `the SQL of the backup cannot be read: ${why}`);
}

/** The name that a token stands for where SQL wants one. */
export const nameOf = (token: Token | undefined): string | undefined =>
  token?.kind === 'word' ? token.text : token?.kind === 'identifier' ? token.value : undefined;

/** Whether the statement has these words at `at`. */
export function hasWords(statement: Statement, at: number, ...words: string[]): boolean {
  return words.every((word, index) => {
    const token = statement.tokens[at + index];
    return token?.kind === 'word' && token.value === word;
  });
}

/** Index of the first such word; -1 where there is none. */
export function findWord(statement: Statement, word: string): number {
  return statement.tokens.findIndex((token) => token.kind === 'word' && token.value === word);
}
