// The application of the test stack, in a container of its own: writes numbered records to every store of the stack, always
// in the same order and as fast as it can. It repeats a write until it is acknowledged, and writes each record once however
// often it repeats. Asked to stop, it ends the record that it has begun.
import { connect } from 'node:net';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

const chroma = 'http://chromadb:8000/api/v2/tenants/default_tenant/databases/default_database/collections';
let isStopping = false;
process.on('SIGTERM', () => {
  isStopping = true;
});

const events = new DatabaseSync('/events/events.db', { timeout: 10_000 });
events.exec(
  'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE IF NOT EXISTS records (n INTEGER PRIMARY KEY)',
);
const insertEvent = events.prepare('INSERT OR IGNORE INTO records VALUES (?)');
const collection = await untilDone(async () => {
  const made = await post(chroma, { name: 'records', get_or_create: true });
  return made.id;
});
await untilDone(() => query('CREATE TABLE IF NOT EXISTS records (n integer PRIMARY KEY)'));
await untilDone(() =>
  redis('GRAPH.QUERY', 'records', 'CREATE INDEX FOR (r:Record) ON (r.n)').catch(ignoreIndex),
);

const neo4jPassword = process.env.NEO4J_PASSWORD;
if (neo4jPassword) {
  await untilDone(() =>
    cypher('CREATE CONSTRAINT record_n IF NOT EXISTS FOR (r:Record) REQUIRE r.n IS UNIQUE'),
  );
}

let n = Number(events.prepare('SELECT coalesce(max(n), 0) AS n FROM records').get().n);
let isWriting = false;
while (!isStopping) {
  n += 1;
  await untilDone(() => post(`${chroma}/${collection}/upsert`, { ids: [`r${n}`], embeddings: [[n, 1, 0]] }));
  await untilDone(() => redis('GRAPH.QUERY', 'records', `MERGE (:Record {n: ${n}})`));
  await untilDone(() => query(`INSERT INTO records VALUES (${n}) ON CONFLICT DO NOTHING`));
  if (neo4jPassword) await untilDone(() => cypher(`MERGE (:Record {n: ${n}})`));
  insertEvent.run(n);
  if (!isWriting) process.stdout.write('writing\n');
  isWriting = true;
}
process.exit(0);

async function untilDone(act) {
  for (;;) {
    try {
      return await act();
    } catch {
      if (isStopping) process.exit(0);
      await sleep(20);
    }
  }
}

async function cypher(statement) {
  const authorization = `Basic ${Buffer.from(`neo4j:${neo4jPassword}`).toString('base64')}`;
  const { errors } = await post(
    'http://neo4j:7474/db/neo4j/tx/commit',
    { statements: [{ statement }] },
    { authorization },
  );
  if (errors.length > 0) throw new Error(errors[0].code);
}

async function post(url, body, headers = {}) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

function ignoreIndex(error) {
  if (!/already indexed/.test(error.message)) throw error;
}

function redis(...words) {
  const command = `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
  return exchange('falkordb', 6379, command, (answer) => {
    if (answer[0] === 0x2d) throw new Error(answer.toString('utf8'));
    return answer.length > 0;
  });
}

/** The simple protocol, as a user that is trusted. */
function query(sql) {
  const startup = Buffer.from('\0\0\0\0\0\x03\0\0user\0postgres\0database\0postgres\0\0', 'latin1');
  startup.writeInt32BE(startup.length);
  const text = Buffer.from(`${sql}\0`);
  const message = Buffer.concat([Buffer.from('Q\0\0\0\0', 'latin1'), text]);
  message.writeInt32BE(text.length + 4, 1);
  return exchange('postgres', 5432, Buffer.concat([startup, message]), (answer) => {
    let ready = 0;
    for (let at = 0; at + 5 <= answer.length; at += 1 + answer.readInt32BE(at + 1)) {
      if (answer[at] === 0x45) throw new Error('refused');
      if (answer[at] === 0x5a) ready += 1;
    }
    return ready === 2;
  });
}

/** One connection for each exchange: none is half broken after a restart of the server. */
function exchange(host, port, request, isWhole) {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const socket = connect({ host, port, timeout: 5000 });
    const end = (error) => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    socket.on('data', (bytes) => {
      answer = Buffer.concat([answer, bytes]);
      try {
        if (isWhole(answer)) end();
      } catch (error) {
        end(error);
      }
    });
    socket.on('error', end);
    socket.on('timeout', () => end(new Error('no answer')));
    socket.on('close', () => reject(new Error('closed')));
    socket.write(request);
  });
}
