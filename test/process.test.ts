import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { exists } from '../src/owner.ts';
import { runProgram } from '../src/process.ts';

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
