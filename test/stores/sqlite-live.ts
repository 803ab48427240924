// A writer in a process of its own, and what it may expect of a backup.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';

export interface Writer extends AsyncDisposable {
  readonly acknowledged: { id: number; atMs: number }[];
  /** Resolves when it has committed `count` more. */
  commits(count: number): Promise<void>;
}

export function startWriter(path: string, mode: 'wal' | 'delete', bytesPerRow = 100): Writer {
  const program = fileURLToPath(new URL('./sqlite-writer.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, path, mode, String(bytesPerRow)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged: { id: number; atMs: number }[] = [];
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [id = 0, atMs = 0] = line.split(' ').map(Number);
      acknowledged.push({ id, atMs });
    }
  });
  return {
    acknowledged,
    async commits(count) {
      const wanted = acknowledged.length + count;
      while (acknowledged.length < wanted) {
        if (child.exitCode !== null) throw new Error(`the writer ended with ${child.exitCode}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    },
  };
}

/** The commits in a database, as a person would look: whole, in order, both tables alike. */
export function commitsIn(path: string): { integrity: string; rows: number; last: number; twins: number } {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const one = (sql: string) => Object.values(database.prepare(sql).get() ?? {})[0];
    return {
      integrity: String(one('PRAGMA integrity_check')),
      rows: Number(one('SELECT count(*) FROM commits')),
      last: Number(one('SELECT coalesce(max(id), 0) FROM commits')),
      twins: Number(one('SELECT count(*) FROM twins JOIN commits USING (id, payload)')),
    };
  } finally {
    database.close();
  }
}

/** The last row that was acknowledged before a moment. */
export function lastBefore(writer: Writer, moment: Date): number {
  const before = writer.acknowledged.filter(({ atMs }) => atMs < moment.getTime());
  return before.at(-1)?.id ?? 0;
}

/** Another process runs `sql` and is killed before it could close the database. */
export async function crashAfter(path: string, sql: string): Promise<void> {
  const program = `const { DatabaseSync } = require('node:sqlite');
    new DatabaseSync(${JSON.stringify(path)}).exec(${JSON.stringify(sql)}); process.kill(process.pid, 'SIGKILL')`;
  await once(spawn(process.execPath, ['-e', program], { stdio: 'inherit' }), 'close');
}

/**
 * Another process runs `sql` and keeps the database open until it is disposed of. Never in this process: the locks of
 * SQLite are those of POSIX, which all go when this process closes any descriptor of the file.
 */
export async function holdOpen(path: string, sql: string): Promise<AsyncDisposable> {
  const program = `const { DatabaseSync } = require('node:sqlite'); const d = new DatabaseSync(${JSON.stringify(path)});
    d.exec(${JSON.stringify(sql)}); console.log('open'); setInterval(() => d.isOpen, 1000)`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}
