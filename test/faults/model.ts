// Random actions on a real repository, with kills and damage among them, against a model that knows the truth: what each
// backup holds, which are damaged, which must be there. Everything random comes from the seed, so a run can be played again.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { cleanEnvironment, deadDocker, shim } from '../cli/program.ts';

const hook = pathToFileURL(join(import.meta.dirname, 'kill-at-file-operation.mjs')).href;
const stores = ['events', 'memory'] as const;
type StoreName = (typeof stores)[number];

interface KnownBackup {
  readonly stem: string;
  readonly store: StoreName;
  readonly content: number;
  isDamaged: boolean;
  /** A failed check is written down in its metadata. */
  isKnownDamaged: boolean;
}

interface ListedBackup {
  stem: string;
  store: StoreName;
  safety: boolean;
}

export interface ModelRun {
  readonly seed: number;
  readonly actions: number;
  readonly kills: number;
}

/** Throws at the first divergence, with the seed and what was done. */
export function runModel(seed: number, seconds: number): ModelRun {
  const model = new Model(seed);
  try {
    const endMs = Date.now() + seconds * 1000;
    let actions = 0;
    for (; Date.now() < endMs; actions += 1) model.step();
    return { seed, actions, kills: model.kills };
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${said}\nactions:\n${model.log.join('\n')}`, { cause: error });
  } finally {
    model.dispose();
  }
}

class Model {
  readonly log: string[] = [];
  kills = 0;
  readonly #random: () => number;
  readonly #cwd = mkdtempSync(join(tmpdir(), 'pkbackup-model-'));
  readonly #present = new Map<StoreName, number>();
  #backups: KnownBackup[] = [];
  #nextContent = 1;

  constructor(seed: number) {
    this.#random = mulberry32(seed);
    const config =
      'events: { kind: sqlite, path: ./events.db }\n  memory: { kind: directory, path: ./memory }';
    writeFileSync(join(this.#cwd, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  ${config}\n`);
    for (const store of stores) this.#write(store);
  }

  step(): void {
    const store = this.#pick(stores);
    const actions: [number, string, () => void][] = [
      [3, `write ${store}`, () => this.#write(store)],
      [4, `backup ${store}`, () => this.#backup(store, false)],
      [3, `backup ${store}, killed`, () => this.#backup(store, true)],
      [2, 'restore', () => this.#restore(false)],
      [2, 'restore, killed', () => this.#restore(true)],
      [1, 'prune', () => this.#prune(false)],
      [1, 'prune, killed', () => this.#prune(true)],
      [1, 'damage', () => this.#damage()],
      [2, 'verify', () => this.#verify()],
      [1, 'restore beside', () => this.#restoreBeside()],
    ];
    const total = actions.reduce((sum, [weight]) => sum + weight, 0);
    const at = this.#random() * total;
    let passed = 0;
    const [, name, act] =
      actions.find(([weight]) => {
        passed += weight;
        return at < passed;
      }) ?? actions[0]!;
    this.log.push(name);
    act();
    this.#compare();
  }

  dispose(): void {
    rmSync(this.#cwd, { recursive: true, force: true });
  }

  #write(store: StoreName): void {
    const content = this.#nextContent++;
    if (store === 'memory') {
      rmSync(join(this.#cwd, 'memory'), { recursive: true, force: true });
      mkdirSync(join(this.#cwd, 'memory', 'deep'), { recursive: true });
      for (let file = 0; file < 5; file += 1)
        writeFileSync(join(this.#cwd, 'memory', 'deep', `f${file}`), `${content}`);
    } else {
      const database = new DatabaseSync(join(this.#cwd, 'events.db'));
      database.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS events (content INTEGER)');
      database.exec(`DELETE FROM events; INSERT INTO events VALUES ${Array(50).fill(`(${content})`).join()}`);
      database.close();
    }
    this.#present.set(store, content);
  }

  /** The one number that all of it holds; anything else is a mixture. */
  #read(store: StoreName, path: string): number {
    const values = store === 'memory' ? readTree(path) : readDatabase(path);
    const [first, ...others] = new Set(values);
    if (first === undefined || others.length > 0)
      throw new Error(`${store} is a mixture: ${[first, ...others]}`);
    return first;
  }

  #pathOf(store: StoreName): string {
    return join(this.#cwd, store === 'memory' ? 'memory' : 'events.db');
  }

  #backup(store: StoreName, isKilled: boolean): void {
    const before = new Set(this.#backups.map(({ stem }) => stem));
    const ended = this.#run(['backup', store], isKilled);
    const made = this.#listed().filter(({ stem }) => !before.has(stem));
    if (made.length > 1 || (ended && made.length !== 1))
      throw new Error(`the backup made ${made.length} backups`);
    for (const { stem } of made) this.#learn(stem, store, this.#present.get(store) ?? 0);
  }

  #restore(isKilled: boolean): void {
    const backup = this.#pick(this.#backups);
    if (!backup) return;
    this.log.push(`  ${backup.stem} (${backup.content}${backup.isDamaged ? ', damaged' : ''})`);
    const old = this.#present.get(backup.store) ?? 0;
    const before = new Set(this.#backups.map(({ stem }) => stem));
    const ended = this.#run(['restore', backup.stem, '--yes'], isKilled, backup.isDamaged ? 4 : 0);
    const listed = this.#listed();
    const found = this.#read(backup.store, this.#pathOf(backup.store));
    const allowed = backup.isDamaged ? [old] : ended ? [backup.content] : [old, backup.content];
    if (!allowed.includes(found)) throw new Error(`expected ${allowed.join(' or ')}, found ${found}`);
    this.#present.set(backup.store, found);
    const made = listed.filter(({ stem }) => !before.has(stem));
    if (made.length > 1) throw new Error(`the restore made ${made.length} backups`);
    for (const { stem } of made) this.#learn(stem, backup.store, old);
  }

  #restoreBeside(): void {
    const backup = this.#pick(this.#backups.filter(({ isDamaged }) => !isDamaged));
    if (!backup) return;
    const to = join(this.#cwd, 'beside');
    this.#run(['restore', backup.stem, '--to', to], false);
    const found = this.#read(backup.store, to);
    if (found !== backup.content)
      throw new Error(`${backup.stem} holds ${found}, expected ${backup.content}`);
    rmSync(to, { recursive: true });
  }

  #prune(isKilled: boolean): void {
    const keep = 1 + Math.floor(this.#random() * 4);
    const before = this.#listed();
    const ended = this.#run(['prune', '--keep-last', String(keep), '--yes'], isKilled);
    const left = new Set(this.#listed().map(({ stem }) => stem));
    for (const store of stores) {
      const ordinary = before.filter((backup) => backup.store === store && !backup.safety);
      const newestGood = ordinary.find(({ stem }) => !this.#knows(stem).isKnownDamaged);
      const must = [...ordinary.slice(0, keep), ...(newestGood ? [newestGood] : [])];
      for (const { stem } of must) if (!left.has(stem)) throw new Error(`prune took ${stem}`);
      const stays = ordinary.filter(({ stem }) => left.has(stem)).length;
      // The last, the newest good and the newest verified.
      if (ended && stays > keep + 2)
        throw new Error(`prune kept ${stays} of ${store} with keep-last ${keep}`);
    }
    this.#backups = this.#backups.filter(({ stem }) => left.has(stem));
  }

  #damage(): void {
    const backup = this.#pick(this.#backups.filter(({ isDamaged }) => !isDamaged));
    if (!backup || this.#random() < 0.3) return;
    const path = join(this.#cwd, 'backups', `${backup.stem}.tar.gz`);
    const bytes = readFileSync(path);
    const at = Math.floor(this.#random() * bytes.length);
    bytes[at]! ^= 1 << Math.floor(this.#random() * 8);
    writeFileSync(path, bytes);
    backup.isDamaged = true;
    this.log.push(`  ${backup.stem} at ${at}`);
  }

  #verify(): void {
    const backup = this.#pick(this.#backups);
    if (!backup) return;
    this.#run(['verify', backup.stem, '--level', 'content'], false, backup.isDamaged ? 7 : 0);
    backup.isKnownDamaged = backup.isDamaged;
  }

  /** What is listed is what the model knows, whole or known to be damaged; nothing of ours lies about. */
  #compare(): void {
    const listed = this.#listed().map(({ stem }) => stem);
    const known = this.#backups.map(({ stem }) => stem);
    const missing = known.filter((stem) => !listed.includes(stem));
    const extra = listed.filter((stem) => !known.includes(stem));
    if (missing.length + extra.length > 0) throw new Error(`missing ${missing}, not known ${extra}`);
    for (const store of stores) {
      const found = this.#read(store, this.#pathOf(store));
      if (found !== this.#present.get(store))
        throw new Error(`${store} holds ${found}, expected ${this.#present.get(store)}`);
    }
    const left = [
      ...readdirSync(this.#cwd).filter((name) => name.includes('.pkbackup-')),
      ...namesIn(join(this.#cwd, 'backups')).filter((name) => name.endsWith('.partial')),
      ...namesIn(join(this.#cwd, 'backups', '.pkbackup', 'scratch')),
      ...namesIn(join(this.#cwd, 'backups', '.pkbackup', 'journal')),
    ];
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  }

  /** Through the program, so that what a crash has left is healed first. */
  #listed(): ListedBackup[] {
    const { status, stdout, stderr } = this.#spawn(['list', '--json'], {});
    if (status !== 0) throw new Error(`list: exit ${status}: ${stderr}`);
    const { stores: all } = JSON.parse(stdout) as {
      stores: { backups: (ListedBackup & { safety?: boolean })[] }[];
    };
    return all.flatMap(({ backups }) =>
      backups.map((backup) => ({ ...backup, safety: backup.safety ?? false })),
    );
  }

  /** True where it came to its end; throws where that is not with the expected exit code. */
  #run(args: string[], isKilled: boolean, expected = 0): boolean {
    const killAt = isKilled ? 1 + Math.floor(this.#random() * 40) : 0;
    const { status, signal, stderr } = this.#spawn(args, { PKBACKUP_TEST_KILL_AT: String(killAt) });
    if (signal === 'SIGKILL') {
      this.kills += 1;
      this.log.push(`  killed at ${killAt}`);
      return false;
    }
    if (status !== expected)
      throw new Error(`${args.join(' ')}: exit ${status}, expected ${expected}: ${stderr}`);
    return true;
  }

  #spawn(args: string[], env: Record<string, string>) {
    return spawnSync(
      process.execPath,
      ['--import', hook, shim, ...args, ...(args[0] === 'list' ? [] : ['--quiet'])],
      {
        cwd: this.#cwd,
        encoding: 'utf8',
        env: { ...cleanEnvironment(), DOCKER_HOST: deadDocker, PKBACKUP_TEST_KILL_BELOW: this.#cwd, ...env },
      },
    );
  }

  #learn(stem: string, store: StoreName, content: number): void {
    this.#backups.push({ stem, store, content, isDamaged: false, isKnownDamaged: false });
  }

  #knows(stem: string): KnownBackup {
    const known = this.#backups.find((backup) => backup.stem === stem);
    if (!known) throw new Error(`${stem} is not known`);
    return known;
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}

function readTree(path: string): number[] {
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name));
  return files.filter((file) => statSync(file).isFile()).map((file) => Number(readFileSync(file, 'utf8')));
}

function readDatabase(path: string): number[] {
  const database = new DatabaseSync(path);
  try {
    const rows = database.prepare('SELECT content FROM events').all();
    if (rows.length !== 50) throw new Error(`expected 50 rows, found ${rows.length}`);
    return rows.map(({ content }) => Number(content));
  } finally {
    database.close();
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
