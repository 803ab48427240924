// pkbackup run in a container, as its first process, one backup a minute: nothing of it may stay behind. PKBACKUP_TEST_LOOP_MINUTES
// says for how long; an hour shows what five minutes may hide.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shim } from '../cli/program.ts';
import { containerOf, docker, logsOf, makeContainer } from '../docker/bed.ts';

const minutes = Number(process.env.PKBACKUP_TEST_LOOP_MINUTES ?? 5);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-loop-'));
  // As it is published, with the Node of this test.
  cpSync(dirname(dirname(shim)), join(directory, 'program'), { recursive: true });
  cpSync(process.execPath, join(directory, 'node'));
  const data = join(directory, 'data');
  for (const name of ['memory', 'backups']) mkdirSync(join(data, name), { recursive: true });
  for (let file = 0; file < 50; file++)
    writeFileSync(join(data, 'memory', `${file}.md`), 'remember '.repeat(file));
  const database = new DatabaseSync(join(data, 'events.db'));
  database.exec('CREATE TABLE events (id INTEGER PRIMARY KEY, text TEXT)');
  for (let row = 0; row < 1000; row++) database.exec(`INSERT INTO events (text) VALUES ('event ${row}')`);
  database.close();
  writeFileSync(
    join(data, 'pkbackup.yaml'),
    `schedule: "* * * * *"
retention: { keep_last: 3 }
after_backup: prune
stores:
  events: { kind: sqlite, path: events.db }
  memory: { kind: directory, path: memory }
`,
  );
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Sample {
  readonly rssKb: number;
  readonly descriptors: number;
  readonly processes: number;
  readonly zombies: number;
}

/** Of the first process of the container, and of all processes but those that look. */
const look = `
rss=$(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/1/status)
fds=$(ls /proc/1/fd | wc -l)
all=0 dead=0
for stat in /proc/[0-9]*/stat; do
  pid=\${stat#/proc/}; pid=\${pid%/stat}
  [ "$pid" = $$ ] && continue
  parent=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' $stat 2>/dev/null) || continue
  [ "$parent" = $$ ] && continue
  all=$((all + 1))
  grep -q ') Z ' $stat 2>/dev/null && dead=$((dead + 1))
done
echo "$rss $fds $all $dead"`;

async function sampleOf(id: string): Promise<Sample> {
  const engine = await docker();
  const { stdout } = await engine.exec(id, { command: ['sh', '-c', look] });
  const [rssKb = 0, descriptors = 0, processes = 0, zombies = 0] = stdout.toString().split(' ').map(Number);
  return { rssKb, descriptors, processes, zombies };
}

/** When no backup runs: the loop is alone. */
async function quietSample(id: string): Promise<Sample> {
  for (;;) {
    const sample = await sampleOf(id);
    if (sample.processes === 1 || sample.zombies > 0) return sample;
    await sleep(1000);
  }
}

function madeIn(data: string): string[] {
  return readdirSync(join(data, 'backups')).filter((name) => name.endsWith('.tar.gz'));
}

const middle = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

describe('the loop in a container', () => {
  test(`leaves nothing behind in ${minutes} minutes of one backup a minute, and ends cleanly`, {
    timeout: (minutes + 10) * 60_000,
  }, async () => {
    const id = await makeContainer({
      image: 'pkbackup-test/debian:trixie',
      entrypoint: ['/opt/pkbackup/node', '/opt/pkbackup/program/bin/pkbackup.js'],
      command: ['run', '--config', '/data/pkbackup.yaml'],
      volumes: { [directory]: '/opt/pkbackup:ro', [join(directory, 'data')]: '/data' },
    });
    const seen = new Set<string>();
    const samples: Sample[] = [];
    for (const endMs = Date.now() + minutes * 60_000; Date.now() < endMs; await sleep(20_000)) {
      samples.push(await quietSample(id));
      for (const name of madeIn(join(directory, 'data'))) seen.add(name);
    }
    const container = containerOf(id);
    await container.stop({ t: 60 });
    const { State } = await container.inspect();
    const log = await logsOf(id);
    process.stdout.write(
      `${minutes} minutes: ${seen.size} backups; first ${JSON.stringify(samples[1])}, last ${JSON.stringify(samples.at(-1))}\n`,
    );
    expect(log).not.toContain('error:');
    expect(State.ExitCode).toBe(0);
    expect(seen.size).toBeGreaterThanOrEqual(2 * (minutes - 2));
    expect(madeIn(join(directory, 'data')).length).toBeLessThanOrEqual(8);
    expect(samples.filter(({ zombies }) => zombies > 0)).toEqual([]);
    const third = Math.ceil(samples.length / 3);
    const [early, late] = [samples.slice(1, third + 1), samples.slice(-third)];
    const ofAll = (some: Sample[], key: keyof Sample) => middle(some.map((sample) => sample[key]));
    expect(ofAll(late, 'descriptors')).toBeLessThanOrEqual(ofAll(early, 'descriptors'));
    expect(ofAll(late, 'rssKb')).toBeLessThan(ofAll(early, 'rssKb') * 1.25);
  });
});
