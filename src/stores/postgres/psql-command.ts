import { conninfo } from './sql.ts';

/** psql for a program: nothing of the user's own settings, no question, bare values, and the first error ends it. */
export function psqlCommand(user: string, database: string, more: readonly string[]): [string, ...string[]] {
  return [
    'psql',
    '--no-psqlrc',
    '--no-password',
    '--quiet',
    '--tuples-only',
    '--no-align',
    '--set=ON_ERROR_STOP=1',
    `--username=${user}`,
    `--dbname=${conninfo(database)}`,
    ...more,
  ];
}
