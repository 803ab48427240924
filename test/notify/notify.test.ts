import { describe, expect, it } from 'vitest';
import { type Message, notify, problemOf, type Target } from '../../src/notify/index.ts';
import { reasons } from '../../src/notify/message.ts';
import { type Answer, httpServer, smtpServer } from './servers.ts';

const message: Message = {
  operation: 'backup',
  outcome: 'failure',
  reasons: ['failure'],
  title: 'backup failed on nas: graph',
  lines: ['graph: no <space> & no "time"', 'hint: make `room`'],
  lastLines: ['18:00:00  graph: failed'],
  facts: { operation: 'backup', outcome: 'failure', exit_code: 4, failed_stores: ['graph'] },
  runId: '7f3c1a52-5d1c-4f62-8a41-0c2f7d1b9e11',
};

const common = { name: 'ops', on: [...reasons], operations: ['backup'] };
const token = 'T0KEN-abcdefghijklmnop';
const delivery = { deadlineMs: 3000, attemptMs: 600, waitsMs: [20, 40] };
const environmentOf = (port: number) => ({ URL: `http://127.0.0.1:${port}/services/${token}` });

function target(kind: 'slack' | 'discord' | 'any' | 'ntfy' | 'healthcheck', more: object = {}): Target {
  return { ...common, kind, url: { env: 'URL' }, ...more };
}

async function sent(to: Target, answers: Answer[] = [], what: Partial<Message> = {}) {
  await using server = await httpServer(...answers);
  const options = { environment: { ...environmentOf(server.port), TOKEN: 'tk_secret\n' }, delivery };
  const [delivered] = await notify([to], { ...message, ...what }, options);
  return { error: delivered?.error, received: server.received, first: server.received[0] };
}

describe('a webhook', () => {
  it('of Slack gets a text and the details, in which nothing is markup', async () => {
    const { error, first } = await sent(target('slack'), [], { title: 'failed: <!channel>' });
    expect(error).toBeUndefined();
    expect(first).toMatchObject({ method: 'POST', url: `/services/${token}` });
    expect(first?.headers['content-type']).toBe('application/json');
    const details = '```\ngraph: no &lt;space&gt; &amp; no "time"\nhint: make `room`\n```';
    expect(JSON.parse(first?.body ?? '')).toEqual({
      text: 'failed: &lt;!channel&gt;',
      attachments: [{ color: '#c62828', text: details }],
    });
  });

  it('of Discord mentions nobody, and is never longer than Discord takes', async () => {
    const { first } = await sent(target('discord'), [204], {
      title: 'failed: @everyone *now*',
      lines: Array.from({ length: 500 }, () => 'ü'.repeat(50)),
    });
    const body = JSON.parse(first?.body ?? '');
    expect(body).toMatchObject({ content: 'failed: @everyone \\*now\\*', allowed_mentions: { parse: [] } });
    expect(body.embeds[0].description.length).toBeLessThan(4096);
    expect(body.embeds[0].description).toMatch(/ü\n\.\.\.\n```$/);
  });

  it('of somebody gets what Slack and Discord understand', async () => {
    const { first } = await sent(target('any'));
    const body = JSON.parse(first?.body ?? '');
    expect(body.text).toContain('backup failed on nas: graph\ngraph: no &lt;space&gt;');
    expect(body.content).toContain('backup failed on nas: graph\ngraph: no <space\\>');
  });

  it('of ntfy gets the title and the priority as headers, whatever letters are in it', async () => {
    const to = target('ntfy', { token: { env: 'TOKEN' } });
    const { first } = await sent(to, [], { title: 'gescheitert: Gemüse\r\nX-Evil: 1' });
    expect(first?.headers).toMatchObject({ priority: '4', authorization: 'Bearer tk_secret' });
    expect(first?.headers['x-evil']).toBeUndefined();
    const [, base64 = ''] = /^=\?UTF-8\?B\?(.*)\?=$/.exec(String(first?.headers.title)) ?? [];
    expect(Buffer.from(base64, 'base64').toString()).toBe('gescheitert: Gemüse X-Evil: 1');
    expect(first?.body).toBe(message.lines.join('\n'));
  });

  it('of plain JSON gets everything, or what the template says, in which texts stay texts', async () => {
    const json: Target = { ...common, kind: 'json', url: { env: 'URL' }, method: 'POST', headers: {} };
    const all = await sent(json);
    expect(JSON.parse(all.first?.body ?? '')).toMatchObject({ title: message.title, exit_code: 4 });
    const body = {
      body: 'pk: {title} ({exit_code}) {failed_stores}',
      code: '{exit_code}',
      list: ['{failed_stores}', 7, null],
    };
    const filled: Target = { ...json, method: 'PUT', headers: { 'X-Priority': 'high' }, body };
    const { first } = await sent(filled, [], { title: 'he said "no", {exit_code}\n' });
    expect(first).toMatchObject({ method: 'PUT', headers: { 'x-priority': 'high' } });
    expect(JSON.parse(first?.body ?? '')).toEqual({
      body: 'pk: he said "no", {exit_code}\n (4) ["graph"]',
      code: 4,
      list: [['graph'], 7, null],
    });
  });

  it('of a health check is pinged at the start, at a success and at a failure, as one run', async () => {
    const to = target('healthcheck');
    const start = await sent(to, [], { outcome: 'started', reasons: [] });
    const fail = await sent(to);
    const good = await sent(to, [], { outcome: 'success', reasons: ['success'], title: 'backup done' });
    const ping = (end: string) => `/services/${token}${end}?rid=${message.runId}`;
    expect([start, fail, good].map(({ first }) => first?.url)).toEqual([
      ping('/start'),
      ping('/fail'),
      ping(''),
    ]);
    expect(start.first?.body).toBe('');
    expect(fail.first?.body).toMatch(/^backup failed on nas: graph\n(?:.|\n)*\n18:00:00 {2}graph: failed$/);
    const skipped = await sent(to, [], { outcome: 'skipped', reasons: ['skipped'] });
    expect(skipped.received).toEqual([]);
  });

  it('with a login in its URL is sent the login as such', async () => {
    await using server = await httpServer();
    const environment = { URL: `http://me:p%40ss-word@127.0.0.1:${server.port}/x` };
    const [delivered] = await notify([target('slack')], message, { environment, delivery });
    expect(delivered?.error).toBeUndefined();
    const expected = `Basic ${Buffer.from('me:p@ss-word').toString('base64')}`;
    expect(server.received[0]?.headers.authorization).toBe(expected);
  });
});

describe('a webhook that fails', () => {
  it.each<[string, Answer[], number, RegExp | undefined]>([
    ['answers 500 at first', [500, 200], 2, undefined],
    ['drops the connection at first', ['drop', 200], 2, undefined],
    ['hangs at first', ['hang', 200], 2, undefined],
    ['wants to be asked later', [{ status: 429, headers: { 'retry-after': '1' } }, 200], 2, undefined],
    ['answers 500 always', [500], 3, /^127\.0\.0\.1:\d+ answered 500 \(tried 3 times\)$/],
    ['never ends its answer', ['drip'], 3, /^no answer within 0\.6 s \(tried 3 times\)$/],
    ['hangs always', ['hang'], 3, /^no answer within 0\.6 s \(tried 3 times\)$/],
    [
      'drops the connection always',
      ['drop'],
      3,
      /^127\.0\.0\.1:\d+ cannot be reached: .+ \(tried 3 times\)$/,
    ],
    [
      'wants to be asked tomorrow',
      [{ status: 503, headers: { 'retry-after': '86400' } }],
      1,
      /answered 503$/,
    ],
    ['refuses', [{ status: 404, body: 'no\n service' }], 1, /answered 404: no service$/],
    [
      'redirects',
      [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }],
      1,
      /answered 302: a redirect/,
    ],
  ])('because it %s', async (_what, answers, tries, expected) => {
    const { error, received } = await sent(target('slack'), answers);
    if (expected === undefined) expect(error).toBeUndefined();
    else expect(error).toMatch(expected);
    expect(received).toHaveLength(tries);
  });

  it('is given up at the deadline, and keeps no other message from arriving', async () => {
    await using hanging = await httpServer('hang');
    await using good = await httpServer();
    const environment = { ...environmentOf(hanging.port), GOOD: `http://127.0.0.1:${good.port}/` };
    const other: Target = { ...common, name: 'good', kind: 'slack', url: { env: 'GOOD' } };
    const startedMs = Date.now();
    const options = { environment, delivery: { deadlineMs: 1000, attemptMs: 700, waitsMs: [1, 1, 1, 1] } };
    const results = await notify([target('slack'), other], message, options);
    expect(Date.now() - startedMs).toBeLessThan(2500);
    expect(results.map(({ error }) => error)).toEqual([expect.stringContaining('no answer'), undefined]);
    expect(good.received).toHaveLength(1);
  });

  it('tells nothing of its URL or token, whatever the server says', async () => {
    const to = target('ntfy', { token: { env: 'TOKEN' } });
    const said = `no such hook: ${token} /services/${token} for tk_secret`;
    const { error } = await sent(to, [{ status: 403, body: said }]);
    expect(error).toMatch(/answered 403: no such hook: \[redacted\]/);
    expect(error).not.toContain(token);
    expect(error).not.toContain('tk_secret');
    const environment = { URL: `http://127.0.0.1:1/${token}` };
    const [refused] = await notify([target('slack')], message, {
      environment,
      delivery: { ...delivery, waitsMs: [] },
    });
    expect(refused?.error).toMatch(/^127\.0\.0\.1:1 cannot be reached: /);
    expect(refused?.error).not.toContain(token);
  });

  it('is known beforehand where its URL is missing, or none', async () => {
    expect(await problemOf(target('slack'), {})).toBe('the environment variable "URL" is not set');
    expect(await problemOf(target('slack'), { URL: ' ' })).toBe('the variable "URL" is empty');
    expect(await problemOf(target('slack'), { URL: `hooks/${token}` })).toMatch(/^its URL is none/);
    expect(await problemOf(target('slack'), { URL: 'ftp://x/y' })).toMatch(/^its URL is none/);
    expect(await problemOf(target('slack'), { URL: 'https://x/y' })).toBeUndefined();
  });
});

describe('an e-mail', () => {
  const email = (port: number, more: object = {}): Target => ({
    ...common,
    name: 'me',
    kind: 'email',
    to: ['me@example.org', 'you@example.org'],
    from: 'backup@example.org',
    host: '127.0.0.1',
    port,
    security: 'none',
    ...more,
  });
  const mail = async (port: number, more: object = {}, environment = {}) => {
    const [result] = await notify([email(port, more)], message, { environment, delivery });
    return result?.error;
  };

  it('goes to everyone, with the title as its subject and the last lines at its end', async () => {
    await using server = await smtpServer();
    expect(await mail(server.port)).toBeUndefined();
    const [taken = ''] = server.mails;
    expect(taken).toMatch(/^Subject: backup failed on nas: graph$/m);
    expect(taken).toMatch(/^From: backup@example\.org$/m);
    expect(taken).toMatch(/^To: me@example\.org, you@example\.org$/m);
    expect(taken).toMatch(/^Auto-Submitted: auto-generated$/m);
    expect(taken).toMatch(/^graph: no <space> & no "time"\n(?:.|\n)*\n18:00:00 {2}graph: failed$/m);
    expect(server.commands.filter((line) => line.startsWith('RCPT'))).toHaveLength(2);
  });

  it.each<[string, Record<string, string>, RegExp, number]>([
    ['hangs before it says anything', { connect: 'hang' }, /no answer within 0\.6 s \(tried 3 times\)/, 3],
    ['hangs after the mail', { end: 'hang' }, /no answer within 0\.6 s \(tried 3 times\)/, 3],
    ['drops the connection', { mail: 'drop' }, /tried 3 times/, 3],
    ['is busy', { mail: '451 try again later' }, /451 try again later \(tried 3 times\)/, 3],
    ['refuses the sender', { mail: '550 who are you' }, /550 who are you$/, 1],
    ['refuses those it is for', { rcpt: '550 no such user' }, /550 no such user$/, 1],
  ])('to a server that %s is a failure', async (_what, answers, expected, tries) => {
    await using server = await smtpServer(answers);
    expect(await mail(server.port)).toMatch(expected);
    const hellos = server.commands.filter((line) => line.startsWith('EHLO'));
    expect(hellos.length).toBeLessThanOrEqual(tries);
  });

  it('to nobody is a failure that names the server', async () => {
    expect(await mail(1)).toMatch(/^127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED.* \(tried 3 times\)$/);
  });

  it('sends no password where the server has no encryption', async () => {
    await using server = await smtpServer({
      ehlo: '250-test\r\n250 AUTH PLAIN LOGIN',
      starttls: '502 not here',
    });
    const login = { user: 'me', password: { env: 'SMTP_PASSWORD' } };
    const environment = { SMTP_PASSWORD: 'correct-horse' };
    expect(await mail(server.port, { security: 'starttls', login }, environment)).toMatch(/502 not here/);
    expect(server.commands.join('\n')).not.toMatch(/AUTH|correct-horse|Y29ycmVjd/);
    expect(server.mails).toEqual([]);
  });

  it('with a wrong password is a failure that does not tell it', async () => {
    const answers = { ehlo: '250-test\r\n250 AUTH PLAIN', auth: '535 not with correct-horse, me' };
    await using server = await smtpServer(answers);
    const login = { user: 'me', password: { env: 'SMTP_PASSWORD' } };
    const error = await mail(server.port, { login }, { SMTP_PASSWORD: 'correct-horse' });
    expect(error).toContain('535 not with [redacted], me');
    expect(server.commands.filter((line) => line.startsWith('AUTH'))).toHaveLength(1);
    expect(await mail(server.port, { login }, {})).toBe(
      'the environment variable "SMTP_PASSWORD" is not set',
    );
  });
});

describe('who is told', () => {
  const isTold = async (to: Partial<Target>, what: Partial<Message>) => {
    const { received } = await sent({ ...target('slack'), ...to } as Target, [], what);
    return received.length === 1;
  };

  it('is who wants to know of it, or of something else that is true of it', async () => {
    const good = { outcome: 'recovery', reasons: ['success', 'recovery'] } as const;
    expect(await isTold({ on: ['failure'] }, {})).toBe(true);
    expect(await isTold({ on: ['failure'] }, good)).toBe(false);
    expect(await isTold({ on: ['recovery'] }, good)).toBe(true);
    expect(await isTold({ on: ['success'] }, good)).toBe(true);
    expect(await isTold({ on: ['warning'] }, good)).toBe(false);
    expect(await isTold({}, { outcome: 'started', reasons: [] })).toBe(false);
    expect(await isTold({ operations: ['verify'] }, {})).toBe(false);
    expect(await isTold({ operations: ['verify'], on: [] }, { outcome: 'test' })).toBe(true);
  });
});
