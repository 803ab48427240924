// A restore beside that is killed is taken up by another process: from its journal, through the schema of its kind.
import { describe, expect, test } from 'vitest';
import { storeOf, stores } from '../../src/stores/index.ts';

const targets = {
  chromadb: { configured: { container: 'vectors' }, to: ['copy', 'volume:copy', 'container:other'] },
  falkordb: {
    configured: { container: 'graph' },
    to: ['copy', 'volume:copy', 'container:other', './copy', '/srv/copy'],
  },
  neo4j: { configured: { container: 'graph' }, to: ['copy', 'volume:copy', 'container:other'] },
  postgres: { configured: { container: 'rows' }, to: ['copy', 'app=copy', 'container:other'] },
  sqlite: { configured: { path: '/srv/events.db' }, to: ['/srv/copy.db'] },
  directory: { configured: { path: '/srv/memory' }, to: ['/srv/copy'] },
  volume: { configured: { volume: 'files' }, to: ['copy'] },
};

describe.each(stores)('$kind', ({ kind, schema, retarget }) => {
  const { configured, to } = targets[kind];
  // Which server a database is in only the configuration says.
  const isIn = (text: string) => kind !== 'postgres' || text.startsWith('container:');

  test.each(to)('what "%s" means comes out of a journal again', (text) => {
    for (const target of [configured, ...(isIn(text) ? [undefined] : [])]) {
      const written = JSON.parse(JSON.stringify(retarget(target, text)));
      expect(schema.safeParse(written).error?.issues ?? []).toEqual([]);
    }
  });
});

test('a server of this host is restored into a container without what says how it is reached', () => {
  const configured = storeOf('falkordb').schema.parse({ host: '127.0.0.1', port: 6380, tools: '/opt/bin' });
  const retarget = (to: string) => JSON.parse(JSON.stringify(storeOf('falkordb').retarget(configured, to)));
  expect(retarget('container:other')).toEqual({ container: 'container:other' });
  expect(retarget('./copy')).toEqual({ container: './copy' });
});
