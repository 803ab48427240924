// Servers at their worst, all at once: they hang, answer 500 and drop the connection, by HTTP and by SMTP. The backup is as
// good as it was, in its exit code and its answer, and waits no longer than the deadline.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { httpServer, smtpServer } from '../notify/servers.ts';
import { lines, makeDirectory, pkbackup } from './program.ts';

it.concurrent.each<[string, number]>([
  ['a good backup', 0],
  ['a failed one', 3],
])('the exit code of %s is the same where no message arrives', async (_what, expected) => {
  await using hanging = await httpServer('hang');
  await using failing = await httpServer(500);
  await using dropping = await httpServer('drop');
  await using good = await httpServer();
  await using hangingMail = await smtpServer({ connect: 'hang' });
  await using droppingMail = await smtpServer({ mail: 'drop' });
  await using failingMail = await smtpServer({ mail: '451 not now' });
  const email = (port: number) =>
    `{ kind: email, to: me@example.org, host: 127.0.0.1, port: ${port}, on: always }`;
  const cwd = makeDirectory({
    'pkbackup.yaml': `notify:
  hanging: { kind: slack, url_env: HANGING, on: always }
  failing: { kind: discord, url_env: FAILING, on: always }
  dropping: { kind: ntfy, url_env: DROPPING, on: always }
  alive: { kind: healthcheck, url_env: HANGING }
  mail-hanging: ${email(hangingMail.port)}
  mail-dropping: ${email(droppingMail.port)}
  mail-failing: ${email(failingMail.port)}
  good: { kind: json, url_env: GOOD, on: always }
stores:
  memory: { kind: directory, path: memory }
`,
  });
  if (expected === 0) mkdirSync(join(cwd, 'memory'));
  if (expected === 0) writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  const token = 'T0KEN-abcdefghijklmnop';
  const url = ({ port }: { port: number }) => `http://127.0.0.1:${port}/hooks/${token}`;
  const env = { HANGING: url(hanging), FAILING: url(failing), DROPPING: url(dropping), GOOD: url(good) };
  const startedMs = Date.now();
  const { exitCode, stdout, stderr } = await pkbackup(['backup', '--json', '--log-file', 'log'], {
    cwd,
    env,
  });
  const tookMs = Date.now() - startedMs;
  expect(exitCode).toBe(expected);
  expect(JSON.parse(stdout)).toMatchObject({ ok: expected === 0, stores: [{ store: 'memory' }] });
  const lost = lines(stderr).flatMap(
    (line) => /the message to "([^"]+)" did not arrive/.exec(line)?.[1] ?? [],
  );
  expect(lost.sort()).toEqual([
    'alive',
    'alive',
    'dropping',
    'failing',
    'hanging',
    'mail-dropping',
    'mail-failing',
    'mail-hanging',
  ]);
  expect(failing.received).toHaveLength(3);
  expect(good.received.map(({ body }) => JSON.parse(body))).toEqual([
    expect.objectContaining({ operation: 'backup', exit_code: expected }),
  ]);
  expect(tookMs).toBeLessThan(60_000);
  expect(stderr + stdout + readFileSync(join(cwd, 'log'), 'utf8')).not.toContain(token);
});
