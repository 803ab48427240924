import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { exists } from '../src/owner.ts';
import { runProgram, streamProgram } from '../src/process.ts';

const node = (program: string, ...args: string[]) => [process.execPath, '-e', program, ...args];
const options = { environment: { PATH: process.env.PATH }, deadlineMs: 20_000 };

describe('a program', () => {
  it('gets its arguments as they are, no shell, and no variable but those that it is given', async () => {
    const lines: string[] = [];
    const strange = ['$(id)', 'a b', '"; rm -rf x', '', 'ü'];
    const program = 'console.log(JSON.stringify([process.argv.slice(1), Object.keys(process.env)]))';
    process.env.PKBACKUP_TEST_LEAK = 'secret';
    const end = await runProgram(node(program, ...strange), {
      ...options,
      onLine: (line) => lines.push(line),
    });
    delete process.env.PKBACKUP_TEST_LEAK;
    expect(end).toMatchObject({ how: 'exited', exitCode: 0, message: 'exit code 0' });
    expect(JSON.parse(lines[0] ?? '')).toEqual([strange, expect.not.arrayContaining(['PKBACKUP_TEST_LEAK'])]);
  });

  it('ends with its exit code and its last lines, of both streams', async () => {
    const program =
      'for (let i = 0; i < 50; i++) console.log(i); console.error("no such disk"); process.exitCode = 3';
    const end = await runProgram(node(program), options);
    expect(end).toMatchObject({ how: 'exited', exitCode: 3 });
    expect(end.lastLines).toHaveLength(20);
    expect(end.lastLines).toContain('no such disk');
    const endless =
      'const part = "x".repeat(1e6); for (let i = 0; i < 20; i++) process.stdout.write(part); console.log("\\r\\nlast")';
    expect((await runProgram(node(endless), options)).lastLines).toEqual(['x'.repeat(1000), 'last']);
  });

  it('that is not there, or was killed, is an end and no exception', async () => {
    expect(await runProgram(['/no/such/program'], options)).toMatchObject({
      how: 'not-started',
      message: expect.stringMatching(/^cannot be started: .*ENOENT/),
    });
    expect(await runProgram(node('process.kill(process.pid, "SIGKILL")'), options)).toMatchObject({
      how: 'killed',
      message: 'was ended by SIGKILL',
    });
  });

  it('is ended after its deadline, and all that it has started with it', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'pkbackup-')), 'pid');
    const child =
      'process.on("SIGTERM", () => {}); require("fs").writeFileSync(process.argv[1], String(process.pid)); setInterval(() => {}, 1000)';
    const parent =
      'require("child_process").spawn(process.execPath, ["-e", process.argv[1], process.argv[2]], { stdio: "inherit" }); setInterval(() => {}, 1000)';
    writeFileSync(file, '');
    const end = await runProgram(node(parent, child, file), { ...options, deadlineMs: 2500 });
    expect(end).toMatchObject({ how: 'late', message: 'was ended after 2.5 s' });
    const pid = Number(readFileSync(file, 'utf8'));
    expect(pid).toBeGreaterThan(0);
    for (let tries = 0; exists(pid) && tries < 50; tries++) await sleep(100);
    expect(exists(pid)).toBe(false);
  });

  it('that leaves something running with its output open is not waited for longer than for itself', async () => {
    const lingering = 'setTimeout(() => {}, 15000)';
    const parent = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(lingering)}], { stdio: "inherit", detached: true }).unref(); console.log("left")`;
    const startedMs = Date.now();
    const end = await runProgram(node(parent), options);
    expect(end).toMatchObject({ how: 'exited', exitCode: 0, lastLines: ['left'] });
    expect(Date.now() - startedMs).toBeLessThan(10_000);
  });

  it('is ended when the run is interrupted, and not started when that was so before', async () => {
    const stop = new AbortController();
    const running = runProgram(node('console.log("up"); setInterval(() => {}, 1000)'), {
      ...options,
      signal: stop.signal,
      onLine: () => stop.abort(),
    });
    expect(await running).toMatchObject({ how: 'aborted', lastLines: ['up'] });
    expect(await runProgram(node(''), { ...options, signal: stop.signal })).toMatchObject({ how: 'aborted' });
  });
});

describe('a program that is streamed', () => {
  const environment = { PATH: process.env.PATH };
  async function gather(stdout: AsyncIterable<Buffer>): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of stdout) parts.push(part);
    return Buffer.concat(parts);
  }
  async function* chunks(count: number) {
    for (let at = 0; at < count; at++) yield Buffer.alloc(100_000, at);
  }

  it('takes and gives every byte, and tells its exit code and stderr', async () => {
    const program =
      'process.stdin.pipe(process.stdout); process.stdin.on("end", () => { console.error("done"); process.exitCode = 3 })';
    const { stdout, ended } = streamProgram(node(program), { environment, stdin: chunks(50) });
    expect((await gather(stdout)).equals(await gather(chunks(50)))).toBe(true);
    expect(await ended).toMatchObject({ how: 'exited', exitCode: 3, stderr: 'done\n' });
  });

  it('need not read its stdin, and may not be there', async () => {
    const ignoring = streamProgram(node('console.log("enough")'), { environment, stdin: chunks(500) });
    expect((await gather(ignoring.stdout)).toString()).toBe('enough\n');
    expect(await ignoring.ended).toMatchObject({ exitCode: 0 });
    const missing = streamProgram(['/no/such/program'], { environment, stdin: chunks(500) });
    await gather(missing.stdout);
    expect(await missing.ended).toMatchObject({ how: 'not-started' });
  });

  it('is ended when nobody reads on, when it is interrupted, and when its source fails', async () => {
    const program =
      'console.log(process.pid); process.stdin.resume(); setInterval(() => console.log("x"), 5)';
    const pidOf = async (stdout: AsyncGenerator<Buffer>) =>
      Number((await stdout.next()).value?.toString().split('\n')[0]);
    const untilGone = async (pid: number) => {
      expect(pid).toBeGreaterThan(0);
      for (let tries = 0; exists(pid) && tries < 100; tries++) await sleep(100);
      expect(exists(pid)).toBe(false);
    };
    const left = streamProgram(node(program), { environment });
    const first = await pidOf(left.stdout);
    await left.stdout.return(undefined);
    await untilGone(first);

    const stop = new AbortController();
    const interrupted = streamProgram(node(program), { environment, signal: stop.signal });
    const second = await pidOf(interrupted.stdout);
    stop.abort(new Error('that is enough'));
    await expect(gather(interrupted.stdout)).rejects.toThrow('that is enough');
    await untilGone(second);

    async function* failing() {
      yield Buffer.from('begun');
      throw new Error('the source is broken');
    }
    const fed = streamProgram(node(program), { environment, stdin: failing() });
    await expect(gather(fed.stdout)).rejects.toThrow('the source is broken');
  });
});
