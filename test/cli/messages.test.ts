// Messages of the real program to real servers: what a backup came to is told, and is not changed by that.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type HttpServer, httpServer, smtpServer } from '../notify/servers.ts';
import { lines, makeDirectory, pkbackup } from './program.ts';

let cwd: string;

beforeEach(() => {
  cwd = makeDirectory();
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
});

const token = 'T0KEN-abcdefghijklmnop';
const urlOf = ({ port }: HttpServer) => `http://127.0.0.1:${port}/hooks/${token}`;

function configure(notify: string, stores = 'memory: { kind: directory, path: memory }'): void {
  writeFileSync(join(cwd, 'pkbackup.yaml'), `notify:\n  ${notify}\nstores:\n  ${stores}\n`);
}

const run = (args: string[], env: Record<string, string> = {}) => pkbackup(args, { cwd, env });
const bodies = ({ received }: HttpServer) => received.map(({ body }) => JSON.parse(body));
const textsOf = (server: HttpServer) => bodies(server).map(({ text }) => text);

const twoStores = 'memory: { kind: directory, path: memory }\n  gone: { kind: directory, path: gone }';

describe('a backup', () => {
  it('that failed is told, once more when it fails again, and so is that it works again', async () => {
    await using server = await httpServer();
    const env = { OPS_URL: urlOf(server) };
    configure('ops: { kind: slack, url_env: OPS_URL }', twoStores);
    mkdirSync(join(cwd, 'gone'));
    writeFileSync(join(cwd, 'gone', 'x'), 'x');
    expect((await run(['backup'], env)).exitCode).toBe(0);
    expect(textsOf(server)).toEqual([]);
    rmSync(join(cwd, 'gone'), { recursive: true });
    expect((await run(['backup'], env)).exitCode).toBe(4);
    expect((await run(['backup'], env)).exitCode).toBe(4);
    mkdirSync(join(cwd, 'gone'));
    writeFileSync(join(cwd, 'gone', 'x'), 'x');
    expect((await run(['backup'], env)).exitCode).toBe(0);
    expect((await run(['backup'], env)).exitCode).toBe(0);
    expect(textsOf(server)).toEqual([
      expect.stringMatching(/^backup failed on .*: gone$/),
      expect.stringMatching(/^backup failed on .*: gone$/),
      expect.stringMatching(/^backup works again on .*: gone$/),
    ]);
    const [first, , third] = bodies(server);
    expect(first.attachments[0].text).toMatch(/gone: .*\nhint: /);
    expect(third.attachments[0].text).toMatch(/gone works again \(failed since \d{4}-\d\d-\d\d \d\d:\d\d\)/);
  });

  it('that did not come to its stores is told, too: Docker is not there, the config file is wrong', async () => {
    await using server = await httpServer();
    const env = { BACKUP_WEBHOOK: urlOf(server) };
    configure('ops: { kind: slack, url_env: BACKUP_WEBHOOK }', 'db: { kind: postgres, container: db }');
    expect((await run(['backup'], env)).exitCode).toBe(2);
    // Who mistypes a flag sees it.
    expect((await run(['backup', '--level', '99'], env)).exitCode).toBe(64);
    writeFileSync(join(cwd, 'pkbackup.yaml'), 'storse: {}');
    expect((await run(['backup'], env)).exitCode).toBe(78);
    expect(textsOf(server)).toEqual([
      expect.stringMatching(/^backup failed on .*: db$/),
      expect.stringContaining('pkbackup.yaml:1: storse: unknown key'),
    ]);
  });

  it('pings its health check at the start and at the end, with the last lines where it failed', async () => {
    await using server = await httpServer();
    const env = { HC_URL: urlOf(server) };
    configure('alive: { kind: healthcheck, url_env: HC_URL }');
    await run(['backup'], env);
    rmSync(join(cwd, 'memory'), { recursive: true });
    await run(['backup'], env);
    await run(['verify'], env);
    const paths = server.received.map(({ url }) => url.replace(/\?rid=[0-9a-f-]{36}$/, ''));
    expect(paths).toEqual([
      `/hooks/${token}/start`,
      `/hooks/${token}`,
      `/hooks/${token}/start`,
      `/hooks/${token}/fail`,
    ]);
    expect(server.received[3]?.body).toMatch(/\d\d:\d\d:\d\d {2}memory: failed: /);
  });

  it('tells several at once, of what each wants to know, with every secret from a file or a variable', async () => {
    await using always = await httpServer();
    await using warnings = await httpServer();
    await using mail = await smtpServer();
    writeFileSync(join(cwd, 'url'), `${urlOf(always)}\n`);
    configure(
      [
        'all: { kind: json, url_file: ./url, on: always, body: { what: "{outcome}", n: "{exit_code}" } }',
        'some: { kind: slack, url_env: SOME_URL, on: [warning] }',
        `me: { kind: email, to: me@example.org, host: 127.0.0.1, port: ${mail.port}, on: [success] }`,
        `after: { kind: slack, url_env: NOT_SET, on: [failure] }`,
      ].join('\n  '),
    );
    const { exitCode, stderr } = await run(['backup'], { SOME_URL: urlOf(warnings) });
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      'messages to "after" will not arrive: the environment variable "NOT_SET" is not set',
    );
    expect(bodies(always)).toEqual([{ what: 'warning', n: 0 }]);
    expect(textsOf(warnings)).toEqual([expect.stringMatching(/^backup done with 1 warning on /)]);
    expect(mail.mails[0]).toMatch(/^Subject: backup done with 1 warning on /m);
  });

  it('is told by BACKUP_WEBHOOK and BACKUP_EMAIL as by the replaced scripts: every time', async () => {
    await using server = await httpServer();
    await using mail = await smtpServer();
    writeFileSync(join(cwd, 'pkbackup.yaml'), 'stores:\n  memory: { kind: directory, path: memory }\n');
    const env = {
      BACKUP_WEBHOOK: urlOf(server),
      BACKUP_EMAIL: 'me@example.org, you@example.org',
      BACKUP_SMTP: `smtp://127.0.0.1:${mail.port}`,
    };
    const { exitCode, stderr } = await run(['backup', '--quiet'], env);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(bodies(server)[0]).toMatchObject({
      text: expect.stringMatching(/^backup done on /),
      content: expect.stringMatching(/^backup done on /),
    });
    expect(mail.mails).toHaveLength(1);
    expect(mail.mails[0]).toContain('To: me@example.org, you@example.org');
    const wrong = await run(['backup', '--quiet'], { ...env, BACKUP_SMTP: 'mail.example.org:secret' });
    expect(wrong.exitCode).toBe(0);
    expect(wrong.stderr).toContain('warning: BACKUP_SMTP: expected a URL such as');
    expect(wrong.stderr).not.toContain('secret');
  });

  it('is as good as it was where nobody takes the message, and no secret is in what is said of that', async () => {
    await using server = await httpServer({ status: 403, body: `no ${token}` });
    configure('ops: { kind: slack, url_env: OPS_URL, on: always }');
    const good = await run(['backup', '--log-file', 'log'], { OPS_URL: urlOf(server) });
    expect(good.exitCode).toBe(0);
    expect(good.stderr).toMatch(
      /warning: the message to "ops" did not arrive: 127.* answered 403: no \[redacted\]/,
    );
    const shown = good.stderr + good.stdout + readFileSync(join(cwd, 'log'), 'utf8');
    expect(shown).not.toContain(token);
  });
});

describe('pkbackup notify', () => {
  it('shows who is told and when, and what is wrong there, without a secret', async () => {
    await using server = await httpServer();
    configure(
      'ops: { kind: slack, url_env: OPS_URL }\n  me: { kind: ntfy, url_env: NTFY_URL, on: always, commands: [backup] }',
    );
    const { exitCode, stdout } = await run(['notify'], { OPS_URL: urlOf(server) });
    expect(exitCode).toBe(78);
    expect(lines(stdout).map((line) => line.replace(/ {2,}/g, ' | '))).toEqual([
      'ops | slack | failure, recovery | backup, verify, drill, guard',
      'me | ntfy | always | backup | the environment variable "NTFY_URL" is not set',
    ]);
    expect(server.received).toEqual([]);
    configure('ops: { kind: slack, url_env: OPS_URL }');
    expect((await run(['notify'], { OPS_URL: urlOf(server) })).exitCode).toBe(0);
  });

  it('--test sends to everyone, or to those named, and says where it did not arrive', async () => {
    await using good = await httpServer();
    await using bad = await httpServer({ status: 404, body: 'no_service' });
    configure(
      'ops: { kind: slack, url_env: OPS_URL }\n  bad: { kind: discord, url_env: BAD_URL }\n  alive: { kind: healthcheck, url_env: OPS_URL }',
    );
    const env = { OPS_URL: urlOf(good), BAD_URL: urlOf(bad) };
    const all = await run(['notify', '--test'], env);
    expect(all.exitCode).toBe(1);
    expect(all.stdout).toMatch(/^sent +ops +slack$/m);
    expect(all.stdout).toMatch(/^FAILED +bad +discord +127\.0\.0\.1:\d+ answered 404: no_service$/m);
    expect(textsOf({ ...good, received: good.received.filter(({ body }) => body.startsWith('{')) })).toEqual([
      expect.stringMatching(/^test message of pkbackup on /),
    ]);
    // It must not count as a good backup.
    expect(good.received.map(({ url }) => url)).toContainEqual(expect.stringContaining(`${token}/log?rid=`));
    expect((await run(['notify', 'ops', '--test'], env)).exitCode).toBe(0);
    const unknown = await run(['notify', 'opps'], env);
    expect(unknown.stderr).toContain('no messages go to "opps", did you mean "ops"?');
    configure('ops: { kind: slack, url: "https://hooks.example.org/T0KEN-in-the-file" }');
    const wrong = await run(['notify']);
    expect(wrong.exitCode).toBe(78);
    expect(wrong.stderr).toContain(
      'notify.ops.url: unknown key (known are kind, url_env, url_file, on, commands)',
    );
    expect(wrong.stderr).not.toContain('T0KEN-in-the-file');
  });
});
