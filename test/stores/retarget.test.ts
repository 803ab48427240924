// A restore beside that is killed is taken up by another process: from its journal, through the schema of its kind.
import { describe, expect, test } from 'vitest';
import { stores } from '../../src/stores/index.ts';

const targets = {
  chromadb: { configured: { container: 'vectors' }, to: ['copy', 'volume:copy', 'container:other'] },
  falkordb: { configured: { container: 'graph' }, to: ['copy', 'volume:copy', 'container:other'] },
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
