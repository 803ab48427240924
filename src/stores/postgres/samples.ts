// Samples of a PostgreSQL: sums over hashes of rows, of the first ones by primary key or of all of a small table. They are
// taken in the snapshot that pg_dump takes over, so they are of the moment of the dump, whoever writes meanwhile.
import { z } from 'zod';
import { samplesOf } from '../samples.ts';
import type { Sample } from '../store.ts';
import { userTables } from './cluster.ts';
import type { Server } from './server.ts';
import { identifier, literal } from './sql.ts';

const tableSchema = z.object({
  schema: z.string(),
  table: z.string(),
  /** Columns by which the first rows are the first ones everywhere; all rows where there are none. */
  key: z.array(z.string()).max(32),
});
const hashedSchema = z.object({ rows: z.number(), hash: z.string() });
const sampleSchema = tableSchema.extend(hashedSchema.shape).extend({ database: z.string() });

type Table = z.infer<typeof tableSchema>;

const tablesPerDatabase = 4;
const mostSamples = 32;
const firstRows = 100;
const smallTableBytes = 1024 * 1024;
const timeoutSeconds = 5;

/** The text of a row is the same whatever the settings of database and role. */
const settings = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres';
SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET lc_messages = 'C';`;
const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;';

/** Only types whose order does not depend on a collation. */
const tablesSql = `
  SELECT json_build_object('schema', n.nspname, 'table', c.relname, 'key', coalesce(k.names, '[]'))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT json_agg(a.attname ORDER BY x.place) AS names
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY x (attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = x.attnum
    HAVING bool_and(a.atttypid = ANY ('{int2,int4,int8,uuid,date}'::regtype[]))
  ) k ON true
  WHERE c.oid IN (SELECT c.oid FROM ${userTables} AND c.relkind = 'r')
    AND (k.names IS NOT NULL OR pg_relation_size(c.oid) < ${smallTableBytes})
  ORDER BY k.names IS NULL, c.reltuples DESC, n.nspname, c.relname LIMIT ${tablesPerDatabase};`;

/** `present` is the name that `database` has now. */
export async function takeSamples(
  server: Server,
  { database, present, snapshot }: { database: string; present: string; snapshot: string },
): Promise<Sample[]> {
  const within = `${settings}\nSET statement_timeout = '${timeoutSeconds}s';\n${begin}\nSET TRANSACTION SNAPSHOT ${literal(snapshot)};\n`;
  const tables = (await server.script(present, `${within}${tablesSql}\nCOMMIT;\n`)).map((line) =>
    tableSchema.parse(JSON.parse(line)),
  );
  if (tables.length === 0) return [];
  const lines = await server.script(present, `${within}${tables.map(hashSql).join('\n')}\nCOMMIT;\n`);
  return tables.map((table, index) => {
    return { database, ...table, ...hashedSchema.parse(JSON.parse(lines[index] ?? '')) };
  });
}

export const isEnough = (samples: readonly Sample[]): boolean => samples.length >= mostSamples;

/** Asks all of them again. */
export async function compareSamples(
  server: Server,
  samples: readonly Sample[] | undefined,
): Promise<{ findings: string[]; asked: number }> {
  const known = samplesOf(samples, sampleSchema);
  const findings: string[] = [];
  for (const [database, tables] of Map.groupBy(known, (sample) => sample.database)) {
    const lines = await server.script(database, `${settings}\n${tables.map(hashSql).join('\n')}\n`);
    for (const [index, { schema, table, rows, hash }] of tables.entries()) {
      const found = hashedSchema.parse(JSON.parse(lines[index] ?? ''));
      const name = `table "${schema}.${table}" of database "${database}"`;
      if (found.rows !== rows) findings.push(`${name}: expected ${rows} rows, found ${found.rows}`);
      else if (found.hash !== hash) findings.push(`${name}: its rows are not what they were`);
    }
  }
  return { findings, asked: known.length };
}

function hashSql({ schema, table, key }: Table): string {
  const name = `${identifier(schema)}.${identifier(table)}`;
  const first = key.length === 0 ? '' : ` ORDER BY ${key.map(identifier).join(', ')} LIMIT ${firstRows}`;
  return `SELECT json_build_object('rows', count(*), 'hash',
    coalesce(sum(('x' || substr(md5((pkbackup_row.*)::text), 1, 15))::bit(60)::bigint), 0)::text)
    FROM (SELECT * FROM ONLY ${name}${first}) pkbackup_row;`;
}
