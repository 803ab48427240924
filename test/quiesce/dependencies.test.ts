import { expect, test } from 'vitest';
import type { Container } from '../../src/docker/index.ts';
import { dependentsOf, levelsOf, needsOf } from '../../src/quiesce/dependencies.ts';

const service = (name: string, dependsOn = '', project = 'stack') =>
  ({
    id: `${project}-${name}`,
    labels: {
      'com.docker.compose.project': project,
      'com.docker.compose.service': name,
      'com.docker.compose.depends_on': dependsOn,
    },
  }) as unknown as Container;

const db = service('db');
const api = service('api', 'db:service_healthy:false');
const web = service('web', 'api:service_started:true,cache:service_started:false');
const cache = service('cache');
const elsewhere = service('api', 'db:service_healthy:false', 'other');
const all = [db, api, web, cache, elsewhere];
const ids = (containers: readonly Container[]) => containers.map(({ id }) => id);

test('who depends on a container is found through others, in its own project only', () => {
  expect(ids(dependentsOf([db], all))).toEqual(['stack-api', 'stack-web']);
  expect(dependentsOf([web], all)).toEqual([]);
});

test('who needs another through a third is stopped before it, also where the third is not held', () => {
  expect(levelsOf([db, web], needsOf(all)).map(ids)).toEqual([['stack-web'], ['stack-db']]);
  expect(levelsOf([cache, db, api, web], needsOf(all)).map(ids)).toEqual([
    ['stack-web'],
    ['stack-cache', 'stack-api'],
    ['stack-db'],
  ]);
});

test('a ring has no order, and is not waited for', () => {
  const ring = [service('a', 'b:service_started:false'), service('b', 'a:service_started:false')];
  expect(levelsOf(ring, needsOf(ring)).map(ids)).toEqual([['stack-a', 'stack-b']]);
  const own = service('own', 'own:service_started:false');
  expect(levelsOf([own], needsOf([own])).map(ids)).toEqual([['stack-own']]);
});

test('containers that compose has not made depend on nobody', () => {
  const plain = { id: 'plain', labels: {} } as unknown as Container;
  expect(dependentsOf([plain], [plain, { ...plain, id: 'other' }])).toEqual([]);
});
