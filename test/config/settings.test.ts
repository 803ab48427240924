import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/config/settings.ts';

function directoryWith(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-settings-'));
  mkdirSync(join(directory, 'conf'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

describe('the repository', () => {
  it('is ./backups where nobody says anything', async () => {
    const cwd = directoryWith({});
    const settings = await loadSettings({}, {}, cwd);
    expect(settings).toMatchObject({
      config: undefined,
      repository: join(cwd, 'backups'),
      compression: 'gzip',
      stores: [],
    });
  });

  it('belongs to the place that says it', async () => {
    const cwd = directoryWith({ 'conf/pkbackup.yaml': 'repository: b', 'conf/.env': 'BACKUP_DIR=e' });
    const repository = async (flags = {}, environment = {}) => {
      return (await loadSettings({ config: 'conf/pkbackup.yaml', ...flags }, environment, cwd)).repository;
    };
    expect(await repository({ backupDir: 'f' }, { BACKUP_DIR: 'p' })).toBe(join(cwd, 'f'));
    expect(await repository({}, { BACKUP_DIR: 'p' })).toBe(join(cwd, 'p'));
    expect(await repository()).toBe(join(cwd, 'conf', 'e'));
    writeFileSync(join(cwd, 'conf', '.env'), '');
    expect(await repository()).toBe(join(cwd, 'conf', 'b'));
  });

  it('is beside the config file where that does not say', async () => {
    const cwd = directoryWith({ 'conf/pkbackup.yaml': '' });
    expect((await loadSettings({ config: 'conf/pkbackup.yaml' }, {}, cwd)).repository).toBe(
      join(cwd, 'conf', 'backups'),
    );
  });
});

describe('the environment', () => {
  it('is that of the process, over the .env file, in placeholders too', async () => {
    const cwd = directoryWith({
      '.env': 'A=file\nB=file\n# comment\nC="quoted value"\n',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of the config file
      'pkbackup.yaml': 'repository: ${A}-${B}-${C}',
    });
    const { environment, repository } = await loadSettings({}, { A: 'process' }, cwd);
    expect(environment).toMatchObject({ A: 'process', B: 'file', C: 'quoted value' });
    expect(repository).toBe(join(cwd, 'process-file-quoted value'));
  });
});

describe('the .env file', () => {
  it('beside the compose file counts too, after that beside the config file', async () => {
    const cwd = directoryWith({
      'conf/pkbackup.yaml': '',
      'conf/.env': 'A=conf\n',
      '.env': 'A=here\nB=here\nBACKUP_DIR=b\n',
    });
    const load = (environment = {}) => loadSettings({ config: 'conf/pkbackup.yaml' }, environment, cwd);
    expect((await load()).environment).toEqual({ A: 'conf' });
    writeFileSync(join(cwd, 'compose.yaml'), '');
    expect((await load()).environment).toEqual({ A: 'conf', B: 'here', BACKUP_DIR: 'b' });
    expect((await load({ B: 'process' })).environment).toMatchObject({ B: 'process' });
    expect((await load()).repository).toBe(join(cwd, 'b'));
    expect((await load()).directory).toBe(join(cwd, 'conf'));
  });
});

describe('the config file', () => {
  it('may have a BOM and CRLF', async () => {
    const cwd = directoryWith({ 'pkbackup.yml': '\uFEFFrepository: b\r\ncompression: zstd\r\n' });
    expect(await loadSettings({}, {}, cwd)).toMatchObject({
      repository: join(cwd, 'b'),
      compression: 'zstd',
    });
  });

  it('is named as people would, from where they are', async () => {
    const cwd = directoryWith({ 'conf/pkbackup.yaml': 'x: 1' });
    await expect(loadSettings({ config: './conf/pkbackup.yaml' }, {}, cwd)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(/^conf[/\\]pkbackup\.yaml:1: x: unknown key/),
    });
  });

  it('that cannot be read is an error, never none', async () => {
    const cwd = directoryWith({});
    mkdirSync(join(cwd, 'pkbackup.yaml'));
    await expect(loadSettings({}, {}, cwd)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('cannot read "pkbackup.yaml"'),
    });
  });
});
