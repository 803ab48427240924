import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { hideFromTexts, readSecret, redactSecrets, Secret, withoutSecrets } from '../src/secret.ts';

describe('a secret', () => {
  const secret = new Secret('hunter2');

  it.each([
    ['in a text', `${secret}`],
    ['joined to a text', `password ${String(secret)}`],
    ['in JSON', JSON.stringify({ secret })],
    ['inspected', inspect({ deep: { secret } }, { depth: 9, showHidden: true })],
    ['formatted', format('%s %o %j %O', secret, secret, secret, [secret])],
    ['spread', JSON.stringify({ ...secret })],
  ])('does not show itself %s', (_where, shown) => {
    expect(shown).not.toContain('hunter2');
  });

  it('is given to those who ask for it', () => {
    expect(secret.reveal()).toBe('hunter2');
  });
});

describe('a text from elsewhere', () => {
  it('loses every secret that was read, in whichever form it is there', () => {
    const value = 'p"ss word/1';
    new Secret(value);
    const told = `auth ${value} failed; ${JSON.stringify({ value })}; ?p=${encodeURIComponent(value)}`;
    expect(redactSecrets(told)).toBe('auth [redacted] failed; {"value":"[redacted]"}; ?p=[redacted]');
  });

  it('loses the longer one where one secret is a part of another', () => {
    new Secret('https://example.test/T0KEN-T0KEN');
    hideFromTexts('T0KEN-T0KEN');
    expect(redactSecrets('POST https://example.test/T0KEN-T0KEN: bad T0KEN-T0KEN')).toBe(
      'POST [redacted]: bad [redacted]',
    );
  });

  it('keeps ordinary words, also where somebody has them as a password', () => {
    for (const word of ['postgres', 'Neo4j', 'password', 'abc']) new Secret(word);
    expect(redactSecrets('postgres: no password for abc')).toBe('postgres: no password for abc');
  });

  it('and variables of other programs are kept, those that hold a secret are not passed on', () => {
    new Secret('of-pkbackup-alone');
    expect(withoutSecrets({ A: 'of-pkbackup-alone', B: 'theirs', C: undefined })).toEqual({ B: 'theirs' });
  });
});

describe('readSecret', () => {
  it('reads the variable that is named', async () => {
    const secret = await readSecret({ env: 'PASSWORD' }, { PASSWORD: 'a b ' });
    expect(secret?.reveal()).toBe('a b ');
  });

  it('reads the file that is named, without its last line end', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'pkbackup-')), 'password');
    writeFileSync(file, 'a\nb\r\n');
    expect((await readSecret({ file }, {}))?.reveal()).toBe('a\nb');
  });

  it('gives nothing where nothing is named', async () => {
    expect(await readSecret({}, { PASSWORD: 'x' })).toBeUndefined();
  });

  it('names the variable that is not set, and the file that is not there', async () => {
    await expect(readSecret({ env: 'PASSWORD' }, {})).rejects.toMatchObject({
      code: 'config',
      message: 'the environment variable "PASSWORD" is not set',
    });
    await expect(readSecret({ file: '/no/such' }, {})).rejects.toMatchObject({ code: 'config' });
  });
});
