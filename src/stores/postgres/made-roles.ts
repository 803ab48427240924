// Roles that a restore makes carry its mark until it has ended, so that whoever undoes it, also after a crash, drops those
// and no others.
import { z } from 'zod';
import type { MissingRoles } from './globals.ts';
import type { Server } from './server.ts';
import { identifier, literal } from './sql.ts';

const setting = 'pkbackup.restore';

export async function makeRoles(
  server: Server,
  admin: string,
  roles: MissingRoles,
  id: string,
): Promise<void> {
  const marks = roles.names.map(
    (name) => `ALTER ROLE ${identifier(name)} SET ${setting} TO ${literal(id)};\n`,
  );
  await server.script(admin, `BEGIN;\n${roles.sql}${marks.join('')}COMMIT;\n`);
}

export async function rolesMadeBy(server: Server, admin: string, id: string): Promise<string[]> {
  const sql = `SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles WHERE ${literal(`${setting}=${id}`)} = ANY (rolconfig)`;
  return z.array(z.string()).parse(JSON.parse(await server.value(admin, sql)));
}

export async function unmarkRoles(server: Server, admin: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await server.execute(admin, ...names.map((name) => `ALTER ROLE ${identifier(name)} RESET ${setting}`));
}

export async function dropRole(server: Server, admin: string, name: string): Promise<void> {
  await server.execute(admin, `DROP ROLE ${identifier(name)}`);
}
