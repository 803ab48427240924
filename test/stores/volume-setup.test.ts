// How a volume is noted and made again: what compose expects, and nothing that only the backup says may lead anywhere.
import { describe, expect, test } from 'vitest';
import type { Source } from '../../src/stores/store.ts';
import {
  directoryToRestore,
  nameInProject,
  refuseSetup,
  setupFor,
  setupOf,
} from '../../src/stores/volume-setup.ts';

const made = (more: { labels?: Record<string, string>; options?: Record<string, string> } = {}) =>
  setupOf({ name: 'x', driver: 'local', mountpoint: '', labels: {}, options: {}, ...more });

const ofCompose: Source = {
  volume: 'stack_data',
  ...made({
    labels: {
      'com.docker.compose.project': 'stack',
      'com.docker.compose.volume': 'data',
      'com.docker.compose.version': '2.26.1',
      'com.docker.compose.config-hash': 'a'.repeat(64),
      tier: 'gold',
    },
  }),
};

test('in another project it has the name and the labels that compose gives it there, and no hash of the first', () => {
  expect(nameInProject(ofCompose, 'other')).toBe('other_data');
  expect(setupFor('other_data', ofCompose, { beside: true, project: 'other' })).toEqual({
    driver: 'local',
    labels: {
      'com.docker.compose.project': 'other',
      'com.docker.compose.volume': 'data',
      'com.docker.compose.version': '2.26.1',
      tier: 'gold',
    },
  });
});

test('a name of its own and an external volume are the same in every project', () => {
  const named: Source = {
    ...ofCompose,
    volume: 'archive',
    volume_labels: { 'com.docker.compose.project': 'stack', 'com.docker.compose.volume': 'data' },
  };
  expect(nameInProject(named, 'other')).toBe('archive');
  expect(nameInProject({ volume: 'shared', ...made(), compose_project: 'stack' }, 'other')).toBe('shared');
  expect(
    setupFor('shared', { volume: 'shared', ...made() }, { beside: true, project: 'other' }).labels,
  ).toEqual({});
});

test('of backups that say nothing of labels the name is enough, or it is asked for', () => {
  const old: Source = { volume: 'stack_data', compose_project: 'stack' };
  expect(nameInProject(old, 'other')).toBe('other_data');
  expect(setupFor('other_data', old, { beside: true, project: 'other' }).labels).toEqual({
    'com.docker.compose.project': 'other',
    'com.docker.compose.volume': 'data',
  });
  expect(() => nameInProject({ volume: 'data' }, 'other')).toThrow(/does not say of which compose project/);
  expect(() => nameInProject({ volume: 'a'.repeat(64) }, 'other')).toThrow(/has no name/);
});

test('beside the present data a volume is nobodys; at its own place it is what it was', () => {
  expect(setupFor('copy', ofCompose, { beside: true })).toEqual({});
  expect(setupFor('stack_data', ofCompose, { beside: false }).labels).toMatchObject({
    'com.docker.compose.project': 'stack',
  });
});

test('labels by which pkbackup or Docker would remove it are neither noted nor taken', () => {
  const labels = {
    'pkbackup.drill': 'x',
    'pkbackup.helper': '1',
    'com.docker.volume.anonymous': '',
    kept: 'y',
  };
  expect(made({ labels }).volume_labels).toEqual({ kept: 'y' });
  const source: Source = { volume: 'v', volume_labels: labels };
  expect(setupFor('v', source, { beside: false }).labels).toEqual({ kept: 'y' });
});

test('a secret is not noted, and what cannot be made without it is not made', () => {
  const options = { type: 'cifs', device: '//host/share', o: 'username=me,password=very-secret' };
  const source: Source = { volume: 'v', ...made({ options, labels: { api_token: 'abc' } }) };
  expect(JSON.stringify(source)).not.toMatch(/very-secret|abc/);
  const setup = setupFor('v', source, { beside: false });
  for (const takes of [false, true])
    expect(() => refuseSetup('v', setup, takes)).toThrow(/made with a secret/);
});

describe('what names a path, a host or a driver', () => {
  test.each([
    { volume_options: { type: 'none', o: 'bind', device: '/etc' } },
    { volume_options: { type: 'nfs', o: 'addr=10.0.0.1', device: ':/export' } },
    { volume_driver: 'plugin' },
  ])('%j is taken only where the user has said so', (how) => {
    const setup = setupFor('v', { volume: 'v', volume_driver: 'local', ...how }, { beside: false });
    expect(() => refuseSetup('v', setup, false)).toThrow(/the backup alone says where its data is to lie/);
    expect(() => refuseSetup('v', setup, true)).not.toThrow();
    expect(() => refuseSetup('v', { driver: 'local', options: { size: '1g' } }, false)).not.toThrow();
  });
});

test('a place in the volume that leads out of it is refused', () => {
  const source = { volume: 'v', volume_directory: 'chroma' };
  expect(directoryToRestore('v', source, { beside: false })).toBe('chroma');
  expect(directoryToRestore('copy', source, { beside: true })).toBe('');
  for (const volume_directory of ['..', 'a/../..', '../etc'])
    expect(() => directoryToRestore('v', { volume: 'v', volume_directory }, { beside: false })).toThrow(
      /names/,
    );
});
